# A Redis server.

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

launch() {
  sed "s/{port}/$1/g" "$folder/settings" >"$folder/used"
  # Not left to the server's own process: the log of the one before would be read until that runs.
  : >"$folder/log"
  "$binaries/redis-server" "$folder/used" >"$folder/log" 2>&1 </dev/null &
}

is_ready() {
  grep -q 'Ready to accept connections' "$folder/log"
}

finish() {
  kill -KILL "$1"
}
