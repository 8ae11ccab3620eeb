#!/bin/bash
# An extension in bash for the tests of the pools: tells every event, and does with it what AGENT says. No programs
# beside bash.
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"
name=${0##*/}

# call METHOD PATH HEADER BODY: sets $me and $answer
call() {
  local LC_ALL=C length=0 line
  printf '%s /2020-01-01/extension/%s HTTP/1.1\r\nHost: api\r\n%s\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" "$3" "${#4}" "$4" >&3
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    [ -z "$line" ] && break
    case "${line,,}" in
      lambda-extension-identifier:*) me=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  answer=
  [ "$length" -gt 0 ] && IFS= read -r -N "$length" answer <&3
}

[ "$AGENT" = crash ] && exit 7
call POST register "Lambda-Extension-Name: $name" '{"events":["INVOKE","SHUTDOWN"]}'
echo "$name registered"
while true; do
  call GET event/next "Lambda-Extension-Identifier: $me" ''
  echo "$name: $answer"
  case "$answer" in *SHUTDOWN*) exit 0 ;; esac
  [ "$AGENT" = dies ] && exit 9
  [ "$AGENT" = slow ] && read -r -t 0.5 _ <> <(:)
  echo "$name worked"
done
