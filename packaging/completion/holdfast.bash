# bash completion for holdfast: commands and flags as --help has them, names as the daemon has them.

_holdfast_commands() { # GROUP: its commands, or all of the first level
  holdfast $1 --help 2>/dev/null | sed -n 's/^  \([a-z]\+\)  *[A-Z].*/\1/p'
}

_holdfast_flags() { # COMMAND...
  holdfast "$@" --help 2>/dev/null | sed -n 's/^ *\(-[A-Za-z], \)\?\(--[a-z-]\+\).*/\2/p'
}

_holdfast_names() { # COMMAND: what it takes
  case $1 in
    attach | exec | kill | pause | restart | stop | top | stats | unpause | port)
      holdfast ps --format '{{.Names}}' ;;
    cp | diff | export | inspect | logs | rename | rm | start | update | wait | commit | "container "*)
      holdfast ps -a --format '{{.Names}}' ;;
    create | run | rmi | tag | push | save | history | "image "*)
      holdfast images --format '{{.Repository}}:{{.Tag}}' ;;
    "volume inspect" | "volume rm" | "volume remove" | "volume rename" | "volume update")
      holdfast volume ls -q ;;
    migrate) printf 'docker\npodman\n' ;;
    "plugin inspect")
      holdfast plugin ls --format '{{.Name}}' ;;
    "secret inspect" | "secret rm" | "secret remove")
      holdfast secret ls --format '{{.Name}}' ;;
    "network connect" | "network disconnect" | "network inspect" | "network rm" | "network remove")
      holdfast network ls --format '{{.Name}}' ;;
  esac 2>/dev/null
}

_holdfast() {
  local current=${COMP_WORDS[COMP_CWORD]} word words=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || words+=("$word")
  done
  local command=${words[0]-}
  case $command in
    container | image | network | plugin | secret | system | volume) command="$command ${words[1]-}" ;;
  esac
  local choices
  if [[ $current == -* ]]; then
    choices=$(_holdfast_flags $command)
  elif [[ -z $command ]]; then
    choices=$(_holdfast_commands)
  elif [[ $command == *' ' ]]; then
    choices=$(_holdfast_commands ${command% })
  else
    choices=$(_holdfast_names "$command")
  fi
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
  [[ ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default 2>/dev/null
  # Images and tags have colons, which readline takes for ends of words.
  declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$current"
}

complete -F _holdfast holdfast
