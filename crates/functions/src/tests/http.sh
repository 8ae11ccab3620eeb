#!/bin/bash
# What begins the programs of the tests of the pools: HTTP over one connection, with no programs beside bash.
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"

# send METHOD PATH HEADER BODY
send() {
  local LC_ALL=C
  printf '%s %s HTTP/1.1\r\nHost: api\r\n%s\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" "$3" "${#4}" "$4" >&3
  receive
}

# receive: sets $id to the request or the extension that the answer names, and $answer
receive() {
  local LC_ALL=C length=0 line
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    [ -z "$line" ] && break
    case "${line,,}" in
      lambda-runtime-aws-request-id:* | lambda-extension-identifier:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  answer=
  [ "$length" -gt 0 ] && IFS= read -r -N "$length" answer <&3
}
