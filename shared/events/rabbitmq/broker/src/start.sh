# Starts a broker and its port mapper in a folder, and starts the broker again for each line of standard
# input. Ends both once nobody holds that input any more, however the holder ended.
set -eu
folder=$1
as=
if [ "$(id -u)" = 0 ]; then
    as='setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups'
    chown -R rabbitmq "$folder"
fi
cd "$folder"
# Started here, because the broker would leave its own one running.
$as epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" >>epmd.log 2>&1 &
mapper=$!
serve() {
    # A session of its own, so that the broker and its helpers can be ended together.
    $as setsid "$RABBITMQ_BIN/rabbitmq-server" >>log 2>&1 &
    server=$!
}
serve
while read -r _again; do
    wait "$server" || true
    serve
done
kill -KILL "-$server" 2>/dev/null || true
wait "$server" || true
kill "$mapper" 2>/dev/null || true
wait "$mapper" || true
rm -rf "$folder"
