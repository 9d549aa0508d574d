# Keeps one server for its owner, the process at the other end of stdin. When stdin ends, in whatever
# way the owner ended, the server is stopped and every file of it removed.
#
# Arguments: the folder of the binaries, the folder for temporary files.
# Stdin: the password, then `line TEXT` for the settings, `start PORT` and `stop`, one order a line.
# Stdout: for each line `ok` and what it gave, or what went wrong and then `failed`.
#
# The script before this one says what is particular to the server: `create PASSWORD` makes its files in
# a new `folder`, `launch PORT` starts it in the background with its output in the log, `is_ready` tells
# whether it can be used, `finish PROCESS` ends it, also when it is paused.
set -u
umask 077
exec 2>&1
binaries=$1
temporary=$2
folder=
server=

stop() {
  [ -n "$server" ] || return 0
  finish "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  server=
}

leave() {
  trap '' HUP INT TERM
  stop
  [ -z "$folder" ] || rm -rf "$folder"
}

start() {
  [ -z "$server" ] || { echo "  it runs already" && return 1; }
  launch "$1"
  server=$!
  tries=2400
  until is_ready; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
      stop
      sed 's/^/  /' "$folder/log"
      return 1
    fi
    sleep 0.025
  done
}

trap leave EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE

IFS= read -r password || exit 1
create "$password" || exit 1
echo "ok $folder"
while read -r order rest; do
  case $order in
    line) printf '%s\n' "$rest" >>"$folder/settings" && echo "ok" ;;
    start) if start "$rest"; then echo "ok $server"; else echo failed; fi ;;
    stop) stop && echo "ok" ;;
  esac
done
