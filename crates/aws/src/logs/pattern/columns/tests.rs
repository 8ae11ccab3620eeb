//! Patterns for space-delimited events: the examples of AWS's documentation, and what is refused.

use super::*;

const ACCESS: &str =
    r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

fn holds(pattern: &str, message: &str) -> bool {
    Columns::read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).hold(message)
}

#[test]
fn fields_are_between_spaces_brackets_and_quotes() {
    assert_eq!(
        fields(ACCESS, usize::MAX),
        [
            "127.0.0.1",
            "Prod",
            "frank",
            "10/Oct/2000:13:25:15 -0700",
            "GET /index.html HTTP/1.0",
            "404",
            "1534"
        ]
    );
    assert_eq!(fields("a  b\tc", 2), ["a", "b\tc"]);
    assert_eq!(fields(r#""say \"hi\"" "" [open x"#, 9), [r#"say \"hi\""#, "", "[open", "x"]);
    assert_eq!(fields("", 3), [""; 0]);
}

#[test]
fn an_access_log() {
    for pattern in [
        "[ip, user, username, timestamp, request, status_code, bytes]",
        r"[ip=%127\.0\.0\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
        "[..., request =*.html*, status_code = 4*, bytes]",
        "[ip, user, ..., status=4*, bytes>1000]",
        "[ip, ..., bytes]",
        "[ip, user, ...]",
        "[...]",
        "[]",
        "[, , , , , , bytes = 1534]",
        "[ip, user, username, timestamp, request, status_code = 404 || status_code = 410, bytes]",
        "[..., status >= 400 && status < 500, bytes]",
        "[..., (status = 404 || status = 410) && status != 410, bytes]",
        r#"[..., request = "GET /index.html HTTP/1.0", status, bytes != 0]"#,
        "[..., request = %^GET [^,]*[0-9]$%, status, bytes]",
        "[ip, rest]",
        "[ip, user, username, ... , status != x, bytes]",
    ] {
        assert!(holds(pattern, ACCESS), "{pattern}");
    }
    for pattern in [
        "[ip, user, username, timestamp, request, status_code = 5*, bytes]",
        "[..., bytes > 2000]",
        "[..., request > 1, status, bytes]",
        "[a, b, c, d, e, f, g, h]",
        "[a, b, c, d, ..., e, f, g, h]",
        "[ip = 127]",
        "[..., ip = 127.0.0.1, user, username]",
    ] {
        assert!(!holds(pattern, ACCESS), "{pattern}");
    }
}

#[test]
fn words_in_their_order() {
    let (error, warning, info) =
        ("ERROR 12:00:02 Failed", "WARNING 12:00:02 No", "INFO 12:00:00 GET /resource/67 1200");
    for (pattern, found) in [
        ("[w1=ERROR, w2]", [true, false, false]),
        ("[w1=ERROR || w1=WARNING, w2]", [true, true, false]),
        ("[w1!=ERROR && w1!=WARNING, w2]", [false, false, true]),
        ("[level, time, method, url=%/resource/[0-9]+$%, took]", [false, false, true]),
        ("[w1=ERROR]", [false, false, false]),
    ] {
        assert_eq!([error, warning, info].map(|line| holds(pattern, line)), found, "{pattern}");
    }
    assert!(!holds("[w1=ERROR, w2]", "ERROR"));
    assert!(holds("[w1=ERROR]", "ERROR\n"));
    let report = "REPORT RequestId: 6a\tDuration: 2.54 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\t\n";
    assert!(holds(
        "[r=\"REPORT\", label=\"RequestId:\", id, d=\"Duration:\", took > 2.5, unit=ms, ...]",
        report
    ));
}

#[test]
fn bad_patterns_say_why() {
    for (pattern, why) in [
        ("[a, b", "ends with ]"),
        ("[a, ", "ends with ]"),
        ("[a, b] c", "not understood"),
        ("[a b]", "operator is missing"),
        ("[a = 1 b]", "comma is missing"),
        ("[..., a, ...]", "more than one"),
        ("[... a > 1]", "comma is missing"),
        ("[a = ]", "value is missing"),
        ("[a = 1 ||]", "begins with its name"),
        ("[a, b=x || c=y]", "begins with its name"),
        ("[a > x]", "number"),
        ("[= 1]", "has a name"),
        ("[a = %x]", "not closed"),
        ("[a = %(x)%]", "not supported"),
        ("[a = %x%, b = %y%, c = %z%]", "at most 2"),
        ("[(a = 1]", "not closed"),
        ("[a = \"x]", "not closed"),
        ("[a IS NULL]", "operator is missing"),
    ] {
        let refused = Columns::read(pattern).expect_err(pattern);
        assert!(refused.contains(why), "{pattern}: {refused}");
    }
    assert!(Columns::read(&format!("[{}a = 1]", "(".repeat(1000))).expect_err("deep").contains("too many"));
}
