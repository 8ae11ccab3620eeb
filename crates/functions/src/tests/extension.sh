# An extension: tells every event, and does with it what AGENT says.
name=${0##*/}

# call METHOD PATH HEADER BODY
call() { send "$1" "/2020-01-01/extension/$2" "$3" "$4"; }

[ "$AGENT" = crash ] && exit 7
call POST register "Lambda-Extension-Name: $name" '{"events":["INVOKE","SHUTDOWN"]}'
echo "$name registered"
while true; do
  call GET event/next "Lambda-Extension-Identifier: $id" ''
  echo "$name: $answer"
  case "$answer" in *SHUTDOWN*) exit 0 ;; esac
  [ "$AGENT" = dies ] && exit 9
  [ "$AGENT" = slow ] && read -r -t 0.5 _ <> <(:)
  echo "$name worked"
done
