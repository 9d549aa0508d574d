# Keeps one PostgreSQL server for its owner, the process at the other end of stdin. When stdin ends,
# in whatever way the owner ended, the server is stopped and every file of it removed.
#
# Arguments: the folder of the binaries, the folder for temporary files.
# Stdin: the password, then `start PORT` and `stop`, one order a line.
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
  # A paused server hears nothing else.
  kill -CONT "$server" 2>/dev/null
  kill -QUIT "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  server=
}

leave() {
  trap '' HUP INT TERM
  stop
  [ -z "$folder" ] || rm -rf "$folder"
}

create() {
  folder=$(mktemp -d "$temporary/fusion-postgres.XXXXXX") || return 1
  printf '%s\n' "$1" >"$folder/password"
  "$binaries/initdb" -D "$folder/data" --username=postgres --pwfile="$folder/password" \
    --auth=scram-sha-256 --locale=C.UTF-8 --encoding=UTF8 --no-sync \
    >"$folder/log" </dev/null || {
    cat "$folder/log"
    return 1
  }
}

is_ready() {
  # The file names the process and its state; one that a killed server left names another process.
  [ "$(sed -n '1p;8p' "$folder/data/postmaster.pid" 2>/dev/null | tr -d ' \n')" = "${server}ready" ]
}

start() {
  [ -z "$server" ] || { echo "  it runs already" && return 1; }
  "$binaries/postgres" -D "$folder/data" -p "$1" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400 -c fsync=on \
    >"$folder/log" 2>&1 </dev/null &
  server=$!
  tries=1200
  until is_ready; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
      stop
      sed 's/^/  /' "$folder/log"
      return 1
    fi
    sleep 0.05
  done
}

trap leave EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE

IFS= read -r password || exit 1
create "$password" || exit 1
echo "ok $folder"
while read -r order port; do
  case $order in
    start) if start "$port"; then echo "ok $server"; else echo failed; fi ;;
    stop) stop && echo "ok" ;;
  esac
done
