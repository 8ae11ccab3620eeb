#!/bin/bash
# A runtime in bash for the tests of the pools: the event says what to do. One connection, no programs beside bash.
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"
base=/2018-06-01/runtime

# call METHOD PATH BODY: sets $id and $answer
call() {
  local LC_ALL=C length=0 line
  printf '%s %s%s HTTP/1.1\r\nHost: api\r\nContent-Length: %d\r\n\r\n%s' "$1" "$base" "$2" "${#3}" "$3" >&3
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    [ -z "$line" ] && break
    case "${line,,}" in
      lambda-runtime-aws-request-id:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  answer=
  [ "$length" -gt 0 ] && IFS= read -r -N "$length" answer <&3
}

[ -n "$FAIL_INIT" ] && { call POST /init/error '{"errorType":"Init.Failed","errorMessage":"no"}'; exit 1; }
[ -n "$EXIT_INIT" ] && { echo 'giving up'; exit "$EXIT_INIT"; }
count=0
while true; do
  call GET /invocation/next ''
  event=$answer
  count=$((count + 1))
  case "$event" in
    *exit*) echo 'about to exit'; exit 3 ;;
    *hang*) read -r -t 1000 _ <> <(:) ;;
    *slow*) read -r -t 0.3 _ <> <(:) ;;
    *big*) printf -v event '"%*s"' 6291600 x ;;
    *print*) printf 'one\ntwo\nno newline' ;;
    *throw*) call POST "/invocation/$id/error" '{"errorType":"Boom","errorMessage":"thrown"}'; continue ;;
  esac
  call POST "/invocation/$id/response" "{\"count\":$count,\"pid\":$$,\"event\":$event}"
done
