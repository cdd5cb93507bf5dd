#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 400
"""Podman (k8s-file, parts joined), kill -9 of both programs: see killing.story.  Takes 40 s by its nature: 200,000 lines at
5,000 a second."""
from killing import story
from lib import Podman, main


def run():
    podman = Podman()
    try:
        story(podman, "numbers", f"  - {{type: podman, paths: ['{podman.dir}/root/vfs-containers/*/userdata/ctr.log']}}\n")
    finally:
        podman.close()


main(run)
