# A PostgreSQL server.

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

launch() {
  "$binaries/postgres" -D "$folder/data" -p "$1" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400 -c fsync=on \
    >"$folder/log" 2>&1 </dev/null &
}

is_ready() {
  # The file names the process and its state; one that a killed server left names another process.
  [ "$(sed -n '1p;8p' "$folder/data/postmaster.pid" 2>/dev/null | tr -d ' \n')" = "${server}ready" ]
}

finish() {
  # A paused server hears nothing else.
  kill -CONT "$1"
  kill -QUIT "$1"
}
