//! A connection from the client's side: bytes in, events and bytes out.

use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn a_conversation() {
    let (client, server) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(server);
    let (mut events, sender) = serve(Box::new(reader), Box::new(writer));
    let (mut from, mut to) = tokio::io::split(client);
    let block = Deflate::new().headers(&[("streamtype", "stdin")]);
    to.write_all(&frame::open(1, &block)).await.expect("sent");
    let headers = vec![("streamtype".to_owned(), "stdin".to_owned())];
    assert_eq!(events.recv().await, Some(Event::Opened { id: 1, headers }));
    let mut reply = [0; 8];
    from.read_exact(&mut reply).await.expect("answered");
    assert_eq!(reply[..4], [0x80, 3, 0, 2], "SYN_REPLY");
    let mut rest = vec![0; usize::from(reply[7])];
    from.read_exact(&mut rest).await.expect("the rest");
    assert_eq!(rest[..4], [0, 0, 0, 1], "of stream 1");

    to.write_all(&frame::data_head(1, 2, true)).await.expect("sent");
    to.write_all(b"hi").await.expect("sent");
    assert_eq!(events.recv().await, Some(Event::Data { id: 1, data: Bytes::from_static(b"hi") }));
    assert_eq!(events.recv().await, Some(Event::Ended { id: 1 }));
    let mut window = [0; 16];
    from.read_exact(&mut window).await.expect("granted");
    assert_eq!(window, [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2], "only the connection goes on");

    to.write_all(&frame::ping(7)).await.expect("sent");
    let mut pong = [0; 12];
    from.read_exact(&mut pong).await.expect("answered");
    assert_eq!(pong.as_slice(), frame::ping(7));
    sender.data(1, b"yes", true).await.expect("sent");
    let mut data = [0; 11];
    from.read_exact(&mut data).await.expect("data");
    assert_eq!(&data, b"\0\0\0\x01\x01\0\0\x03yes");
    drop((from, to));
    assert_eq!(events.recv().await, None, "the client has left");
}

#[tokio::test]
async fn another_protocol_ends_the_connection() {
    let (client, server) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(server);
    let (mut events, _sender) = serve(Box::new(reader), Box::new(writer));
    let (_from, mut to) = tokio::io::split(client);
    to.write_all(&[0x80, 2, 0, 1, 0, 0, 0, 0]).await.expect("sent");
    assert_eq!(events.recv().await, None);
}
