//! One function where several are the same to the last byte: the linker folds them, and the binary is a twentieth smaller. Where
//! rustc links with its own linker, which knows how, and only in what is released: traces of a debug build name every function.

#[expect(clippy::disallowed_methods, reason = "cargo says there what is built")]
fn main() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    println!("cargo::rerun-if-changed=build.rs");
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
