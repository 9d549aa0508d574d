# Keeps one Redis server for its owner, the process at the other end of stdin. When stdin ends, in
# whatever way the owner ended, the server is stopped and every file of it removed.
#
# Arguments: the folder of the binaries, the folder for temporary files.
# Stdin: the password, then `line TEXT` for the settings, `start PORT` and `stop`, one order a line.
# Stdout: for each line `ok` and what it gave, or what went wrong and then `failed`.
set -u
umask 077
exec 2>&1
binaries=$1
temporary=$2
folder=
server=

stop() {
  [ -n "$server" ] || return 0
  kill -KILL "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  server=
}

leave() {
  trap '' HUP INT TERM
  stop
  [ -z "$folder" ] || rm -rf "$folder"
}

create() {
  [ -x "$binaries/redis-server" ] || { echo "  $binaries/redis-server: not found" && return 1; }
  folder=$(mktemp -d "$temporary/fusion-redis.XXXXXX") || return 1
  # Nothing is written to disk, so that every start is an empty one.
  cat >"$folder/settings" <<END
bind 127.0.0.1
requirepass $1
masterauth $1
save ""
appendonly no
dir $folder
daemonize no
END
}

start() {
  [ -z "$server" ] || { echo "  it runs already" && return 1; }
  sed "s/{port}/$1/g" "$folder/settings" >"$folder/used"
  "$binaries/redis-server" "$folder/used" >"$folder/log" 2>&1 </dev/null &
  server=$!
  tries=1200
  until grep -q 'Ready to accept connections' "$folder/log"; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
      stop
      sed 's/^/  /' "$folder/log"
      return 1
    fi
    sleep 0.02
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
