/*
 * query/cli/cmd_completion.c - `logq completion SHELL`: a script that asks `logq __complete`.
 *
 * The scripts know nothing of commands, flags or labels: each hands over the words of the line up
 * to the cursor, the last one as far as it is typed and without its opening quote, and offers what
 * comes back, a line each (cmd_complete.c).
 */
#include "query/cli/cmd.h"

#include "base/near.h"

static const char BASH[] =
    "# bash completion of logq: eval \"$(logq completion bash)\"\n"
    "_logq() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur=${COMP_WORDS[COMP_CWORD]} words=() quote=\n"
    "    # As the shell reads the line, not as readline cuts it: = and : are no ends of words.\n"
    "    local word= i c open= any=\n"
    "    for ((i = 0; i < ${#line}; i++)); do\n"
    "        c=${line:i:1}\n"
    "        if [[ $open ]]; then\n"
    "            if [[ $c == \"$open\" ]]; then open=; else word+=$c; fi\n"
    "        elif [[ $c == \\' || $c == \\\" ]]; then open=$c quote=$c any=1\n"
    "        elif [[ $c == [[:space:]] ]]; then\n"
    "            [[ $word || $any ]] && words+=(\"$word\")\n"
    "            word= any= quote=\n"
    "        else word+=$c; fi\n"
    "    done\n"
    "    words+=(\"$word\")\n"
    "    local typed=${cur#[\\'\\\"]}\n"
    "    local before=${word%\"$typed\"} found\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r found; do\n"
    "        [[ $found == \"$before\"* ]] && COMPREPLY+=(\"${found#\"$before\"}\")\n"
    "    done < <(\"${words[0]}\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    # An only match that is no whole word must not be followed by a closing quote: make it "
    "two.\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *\\\" ]] && "
    "COMPREPLY+=(\"${COMPREPLY[0]}...\")\n"
    "    return 0\n"
    "}\n"
    "complete -o default -o nosort -F _logq logq\n";

static const char ZSH[] =
    "#compdef logq\n"
    "# zsh completion of logq: logq completion zsh > \"${fpath[1]}/_logq\"\n"
    "_logq() {\n"
    "    local -a found typed open\n"
    "    local word=${(Q)PREFIX} query='*[\"{(]*'\n"
    "    # Within quotes, and without the first: what stands there is literal, or escaped.\n"
    "    case $compstate[quote] in\n"
    "        (\\') word=$PREFIX ;;\n"
    "        (\\\") word=${(Q)${:-\\\"$PREFIX\\\"}} ;;\n"
    "    esac\n"
    "    typed=(\"${(@Q)words[1,CURRENT-1]}\" \"$word\")\n"
    "    found=(\"${(@f)$(\"${typed[1]}\" __complete \"${(@)typed[2,-1]}\" 2>/dev/null)}\")\n"
    "    found=(\"${(@)found:#}\")\n"
    "    if (( ${#found} )); then\n"
    "        # No blank behind what goes on: a query.\n"
    "        open=(${(M)found:#${~query}})\n"
    "        found=(${found:#${~query}})\n"
    "        (( ${#open} )) && compadd -S '' -- \"${open[@]}\"\n"
    "        (( ${#found} )) && compadd -- \"${found[@]}\"\n"
    "        return 0\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _logq ]; then _logq \"$@\"; else compdef _logq logq; fi\n";

static const char FISH[] =
    "# fish completion of logq: logq completion fish > ~/.config/fish/completions/logq.fish\n"
    "function __logq_complete\n"
    "    set -l typed (commandline -opc) (string trim --left --chars='\"\\'' -- (commandline "
    "-ct))\n"
    "    set -l found (command $typed[1] __complete $typed[2..-1] 2>/dev/null)\n"
    "    # As in bash: an only match that goes on must not get a closing quote.\n"
    "    if test (count $found) = 1; and string match -q -- '*\"' $found[1]\n"
    "        set -a found $found[1]...\n"
    "    end\n"
    "    if set -q found[1]\n"
    "        printf '%s\\n' $found\n"
    "    else\n"
    "        __fish_complete_path (commandline -ct)\n"
    "    end\n"
    "end\n"
    "complete -c logq -f -a '(__logq_complete)'\n";

int cmd_completion(struct cmd *c)
{
    static const struct {
        const char *shell;
        struct str script;
    } scripts[] = {{"bash", STR_INIT(BASH)}, {"zsh", STR_INIT(ZSH)}, {"fish", STR_INIT(FISH)}};
    struct str shell = str_of(c->args->words[0]);
    struct remote_failure none = {0};
    struct near near;
    struct err err;

    near_begin(&near, shell);
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        near_offer(&near, str_of(scripts[i].shell));
        if (!str_eq(shell, str_of(scripts[i].shell)))
            continue;
        if (output_text(c->out, scripts[i].script, &err) < 0 || output_flush(c->out, &err) < 0)
            return cmd_fail(c, STR_NULL, &none, &err);
        return CMD_FOUND;
    }
    if (near.best.p != NULL)
        cmd_say("no completion for '%.60s', did you mean '%.*s'?", shell.p, STR_ARG(near.best));
    else
        cmd_say("no completion for '%.60s': there is bash, zsh and fish", shell.p);
    return CMD_USAGE;
}
