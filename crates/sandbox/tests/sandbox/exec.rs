//! Commands in running containers.
use crate::house::{House, LONG};
use sandbox::{Error, Exec, ExecSpec, Exit, StartErrorKind};
use std::fs::File;
use std::io::{Read, Write};

fn spec(argv: &[&str]) -> ExecSpec {
    ExecSpec { argv: argv.iter().map(|word| word.to_string()).collect(), ..ExecSpec::default() }
}

async fn wait(exec: &mut Exec) -> Exit {
    tokio::time::timeout(LONG, exec.wait()).await.unwrap().unwrap()
}

async fn out(exec: &mut Exec) -> String {
    let mut text = String::new();
    wait(exec).await;
    File::from(exec.stdout.take().unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_share_the_container() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let mut container = house.container("a", &["fix", "serve"]);
    container.env = vec![("ONE".into(), "1".into())];
    container.user.name = "app".into();
    pod.start_container(container).await.unwrap();

    let mut exec = pod.exec("a", spec(&["fix", "exit", "7"])).await.unwrap();
    assert_eq!(wait(&mut exec).await, Exit { code: 7, signal: None, oom: false });
    for (argv, expected) in [
        (&["fix", "env", "ONE"][..], "1\n"),
        (&["fix", "id"], "uid=1000 gid=1001 groups=50\n"),
        (&["fix", "host"], "p1-host\n"),
        (&["fix", "try", "mount"], "mount: Operation not permitted\n"),
    ] {
        let mut exec = pod.exec("a", spec(argv)).await.unwrap();
        assert_eq!(out(&mut exec).await, expected);
    }
    let mut exec = pod.exec("a", spec(&["fix", "cat", "/proc/1/cmdline"])).await.unwrap();
    assert_eq!(out(&mut exec).await, "fix\0serve\0");
    let Err(Error::Start(error)) = pod.exec("a", spec(&["nope"])).await else { panic!() };
    assert_eq!((error.kind, error.exit_code()), (StartErrorKind::NotFound, 127));
    assert!(matches!(pod.exec("b", spec(&["fix"])).await, Err(Error::NotRunning(_))));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_flows_and_kills_work() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    pod.start_container(house.container("a", &["fix", "serve"])).await.unwrap();
    let mut exec = pod.exec("a", ExecSpec { stdin: true, ..spec(&["fix", "echo"]) }).await.unwrap();
    File::from(exec.stdin.take().unwrap()).write_all(b"one\ntwo\n").unwrap();
    assert_eq!(out(&mut exec).await, "one\ntwo\n");
    let mut exec = pod.exec("a", spec(&["fix", "stubborn"])).await.unwrap();
    exec.kill().await;
    assert_eq!(wait(&mut exec).await.signal, Some(9));
    // A command ends with its container.
    let mut exec = pod.exec("a", spec(&["fix", "serve"])).await.unwrap();
    pod.kill("a").await.unwrap();
    assert_eq!(wait(&mut exec).await.signal, Some(9));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_size_and_an_echo() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    pod.start_container(house.container("a", &["fix", "serve"])).await.unwrap();
    let mut exec =
        pod.exec("a", ExecSpec { tty: true, stdin: true, ..spec(&["fix", "terminal"]) }).await.unwrap();
    exec.resize(132, 43).unwrap();
    let mut pty = File::from(exec.pty.take().unwrap());
    pty.write_all(b"hi\n").unwrap();
    assert_eq!(wait(&mut exec).await.code, 5);
    let mut text = Vec::new();
    // Ends with EIO once the other side is closed.
    let _ = pty.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("terminal: 1\r\n") && text.contains("size: 132x43 said: hi"), "{text:?}");

    let mut container = house.container("t", &["fix", "terminal"]);
    container.tty = true;
    pod.start_container(container).await.unwrap();
    crate::house::wait_for("the terminal", || house.logged("t").contains("terminal: 1").then_some(())).await;
    house.close().await;
}
