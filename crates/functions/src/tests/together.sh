
# A runtime that sends its answer and the wish for the next event together, and says when it has read that the answer was
# accepted. To "large" it answers more than it may.

next=$'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: api\r\n\r\n'
printf '%s' "$next" >&3
while true; do
  receive
  event=$answer
  [ "$event" = '"large"' ] && printf -v event '"%*s"' 6291600 x
  head="POST /2018-06-01/runtime/invocation/$id/response HTTP/1.1"$'\r\nHost: api\r\n'
  printf '%sContent-Length: %d\r\n\r\n%s%s' "$head" "${#event}" "$event" "$next" >&3
  receive
  echo "told: ${answer:0:40}"
done
