# A runtime: the event says what to do.

# call METHOD PATH BODY
call() { send "$1" "/2018-06-01/runtime$2" 'X-From: bash' "$3"; }

[ -n "$FAIL_INIT" ] && { call POST /init/error '{"errorType":"Init.Failed","errorMessage":"no"}'; exit 1; }
[ -n "$EXIT_INIT" ] && { echo 'giving up'; exit "$EXIT_INIT"; }
[ -n "$EXIT_ONCE" ] && ! [ -e "$EXIT_ONCE" ] && { : > "$EXIT_ONCE"; exit 9; }
[ -n "$EXIT_ONCE" ] && read -r -t 0.1 _ <> <(:)
count=0
while true; do
  call GET /invocation/next ''
  event=$answer
  count=$((count + 1))
  case "$event" in
    *exit*) echo 'about to exit'; exit 3 ;;
    *hang*) read -r -t 1000 _ <> <(:) ;;
    # meet DIRECTORY: until five of them are there.
    *meet*)
      place=${event#*meet } place=${place%\"}
      : >"$place/$$"
      until met=("$place"/*) && ((${#met[@]} >= 5)); do read -r -t 0.01 _ <> <(:); done
      ;;
    # until FILE: until it is there; then it fails.
    *until*)
      file=${event#*until } file=${file%\"}
      until [ -e "$file" ]; do read -r -t 0.01 _ <> <(:); done
      call POST "/invocation/$id/error" '{"errorType":"Boom","errorMessage":"thrown"}'
      continue
      ;;
    *slow*) read -r -t 0.3 _ <> <(:) ;;
    *big*) printf -v event '"%*s"' 6291600 x ;;
    *print*) printf 'one\ntwo\nno newline' ;;
    *throw*) call POST "/invocation/$id/error" '{"errorType":"Boom","errorMessage":"thrown"}'; continue ;;
  esac
  call POST "/invocation/$id/response" "{\"count\":$count,\"pid\":$$,\"event\":$event}"
done
