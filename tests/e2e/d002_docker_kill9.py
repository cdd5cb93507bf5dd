#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 400
"""dockerd (json-file, no max-size), kill -9 of both programs: see killing.story.  Takes 40 s by its nature: 200,000 lines at
5,000 a second."""
from killing import story
from lib import Docker, main


def run():
    docker = Docker()
    try:
        story(docker, "numbers", f"  - {{type: docker, paths: ['{docker.dir}/data/containers/*/*-json.log']}}\n")
    finally:
        docker.close()


main(run)
