"""`annpipe completion SHELL`: the script that lets a shell complete annpipe's commands, options and names.

The scripts speak click's protocol: the words up to the cursor go into the environment, and annpipe prints
completions. They replace click's own, which leave a blank after `train.`, break words at `=` and `:` in bash, and do
not quote file names.
"""

from __future__ import annotations

import click

BASH = r"""# Completion of annpipe for bash: asks annpipe itself at each Tab.
_annpipe() {
    local IFS=$' \t\n'
    local line=${COMP_LINE:-${COMP_WORDS[*]}} words=() word rest number
    line=${line:0:${COMP_POINT:-${#line}}}
    # bash breaks words at = and : too: one with no blank before it goes on with the last
    for ((number = 0; number <= COMP_CWORD; number++)); do
        word=${COMP_WORDS[number]}
        rest=${line#"${line%%[![:space:]]*}"}
        ((number == COMP_CWORD)) && word=$rest
        if ((number == 0)) || [[ $rest != "$line" ]]; then words+=("$word"); else words[-1]+=$word; fi
        line=${rest#"$word"}
    done
    local current=${words[-1]} breaks=${COMP_WORDBREAKS//[^=:]/} done= kind value
    [[ $breaks ]] && done=${current%"${current##*["$breaks"]}"}
    COMPREPLY=()
    IFS=$'\n'
    while IFS=, read -r kind value; do
        [[ $kind == file || $kind == dir ]] && compopt -o default 2>/dev/null
        [[ $kind == plain && $value ]] || continue
        [[ $value == *[./=] ]] && compopt -o nospace 2>/dev/null
        value=${value#"$done"}
        [[ $current == [\"\']* ]] || printf -v value %q "$value"
        COMPREPLY+=("${value/#'\~'/'~'}")
    done < <(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _ANNPIPE_COMPLETE=bash_complete \
        "${1/#'~'/$HOME}" 2>/dev/null)
}
complete -o nosort -F _annpipe annpipe
"""

ZSH = r"""#compdef annpipe
# Completion of annpipe for zsh: asks annpipe itself at each Tab.
_annpipe() {
    local -a answer whole open
    local kind value meaning added=1
    # compadd would quote the tilde
    [[ $PREFIX == '~'* ]] && { _files; return }
    answer=("${(@f)$(env COMP_WORDS="${(pj:\n:)words[1,CURRENT]}" COMP_CWORD=$((CURRENT - 1)) \
        _ANNPIPE_COMPLETE=zsh_complete ${~words[1]} 2>/dev/null)}")
    for kind value meaning in "${answer[@]}"; do
        if [[ $kind == (file|dir) ]]; then
            _files && added=0
            continue
        fi
        # click writes a colon as \: where a meaning follows, and _describe wants it so everywhere
        [[ $meaning == _ ]] && value=${value//:/\\:} meaning=
        [[ -n $value ]] || continue
        if [[ $value == *[./=] ]]; then
            open+=("$value${meaning:+:$meaning}")
        else
            whole+=("$value${meaning:+:$meaning}")
        fi
    done
    (( $#whole )) && _describe -V annpipe whole && added=0
    (( $#open )) && _describe -V annpipe open -S '' && added=0
    return added
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _annpipe "$@"
else
    compdef _annpipe annpipe
fi
"""

FISH = r"""# Completion of annpipe for fish: asks annpipe itself at each Tab.
function __annpipe_words
    set -l line (commandline -cp)
    set -l word (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- (commandline -opc)[1])
    for answer in (env COMP_WORDS="$line" COMP_CWORD="$word" _ANNPIPE_COMPLETE=fish_complete $program 2>/dev/null)
        set -l parts (string split -m 1 , -- $answer)
        switch $parts[1]
            case file dir
                __fish_complete_path $word
            case plain
                echo $parts[2]
        end
    end
end
complete -c annpipe -f -a '(__annpipe_words)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@click.command("completion")
@click.argument("shell", type=click.Choice(tuple(SCRIPTS)))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, specs, components, runs and paths of --set.

    \b
    bash, in ~/.bashrc:
      eval "$(annpipe completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(annpipe completion zsh)"
    fish, once:
      annpipe completion fish > ~/.config/fish/completions/annpipe.fish
    """
    click.echo(SCRIPTS[shell], nl=False)
