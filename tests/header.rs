//! The committed header is the one that the code gives.

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/ringkernel.h"));

#[test]
fn header_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/include/ringkernel.h");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, GENERATED).expect("include/ is writable");
    }
    let committed = std::fs::read_to_string(path).expect("the header is committed");
    let difference = committed.lines().zip(GENERATED.lines()).position(|(a, b)| a != b);
    assert!(
        committed == GENERATED,
        "include/ringkernel.h is out of date, from line {}: UPDATE=1 cargo test --test header",
        difference.map_or(committed.lines().count().min(GENERATED.lines().count()), |line| line) + 1
    );
}
