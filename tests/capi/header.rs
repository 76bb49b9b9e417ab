//! include/trtc.h as these tests see it: what must be covered is read from there, so that nothing new is forgotten.
use std::collections::BTreeSet;

const TEXT: &str = include_str!("../../include/trtc.h");

/// An exported function.
pub struct Function {
    pub name: &'static str,
    pub returns: &'static str,
    /// Declarations, such as `int32_t stream_type`.
    pub parameters: Vec<&'static str>,
    pub comment: &'static str,
}

/// A struct that begins with `struct_size`.
pub struct Struct {
    pub name: &'static str,
    /// Names and comments, `struct_size` included.
    pub fields: Vec<(&'static str, &'static str)>,
}

/// The name in a declaration: its last word, without stars and brackets.
pub fn name(declaration: &'static str) -> &'static str {
    let plain = declaration.split('[').next().unwrap().trim_end();
    let start = plain.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    &plain[start..]
}

pub fn functions() -> Vec<Function> {
    let found: Vec<Function> = TEXT
        .match_indices("\nTRTC_API")
        .map(|(at, macro_name)| {
            let declaration = TEXT[at + macro_name.len()..].split(';').next().unwrap();
            let declaration = declaration.trim_start().trim_start_matches("TRTC_WARN_UNUSED").trim_start();
            let (head, parameters) = declaration.split_once('(').unwrap();
            let name = name(head);
            let parameters = parameters.trim_end_matches(')').split(',').map(str::trim).filter(|p| *p != "void");
            let comment = TEXT[..at].rsplit("/*").next().unwrap();
            assert!(comment.trim_end().ends_with("*/"), "{name} has no comment");
            Function {
                name,
                returns: head[..head.len() - name.len()].trim(),
                parameters: parameters.collect(),
                comment,
            }
        })
        .collect();
    assert!(found.len() > 50 && found.iter().all(|f| f.name.starts_with("trtc_")));
    found
}

pub fn structs() -> Vec<Struct> {
    let found: Vec<Struct> = TEXT
        .split("\ntypedef struct {")
        .skip(1)
        .map(|rest| {
            let (body, end) = rest.split_once("\n} ").unwrap();
            let fields = body.split("/*").skip(1).map(|field| {
                let (comment, declaration) = field.split_once("*/").unwrap();
                let declaration = declaration.trim();
                let function = declaration.split_once("(*").map(|(_, rest)| rest.split(')').next().unwrap());
                assert_eq!(declaration.matches(';').count(), 1, "a field without a comment: {declaration}");
                (function.unwrap_or_else(|| name(declaration.trim_end_matches(';'))), comment.trim())
            });
            Struct { name: end.split(';').next().unwrap(), fields: fields.collect() }
        })
        .collect();
    assert!(
        found.len() > 10 && found.iter().all(|s| s.fields[0].0 == "struct_size"),
        "every struct begins with its size"
    );
    found
}

/// Fails when `covered` is not exactly `wanted`.
pub fn same<T: Ord + std::fmt::Debug>(
    what: &str,
    covered: impl IntoIterator<Item = T>,
    wanted: impl IntoIterator<Item = T>,
) {
    let (covered, wanted): (BTreeSet<T>, BTreeSet<T>) = (covered.into_iter().collect(), wanted.into_iter().collect());
    let forgotten: Vec<&T> = wanted.difference(&covered).collect();
    let unknown: Vec<&T> = covered.difference(&wanted).collect();
    assert!(
        forgotten.is_empty() && unknown.is_empty(),
        "{what}: forgotten {forgotten:?}, not in the header {unknown:?}"
    );
}

#[test]
fn every_function_says_errors_thread_and_version() {
    for function in functions() {
        let comment = function.comment.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(comment.contains("Since 0."), "{}: since which version?", function.name);
        assert!(comment.contains("ny thread") || comment.contains("thread,"), "{}: which thread?", function.name);
        assert!(function.returns != "trtc_result" || comment.contains("Errors"), "{}: which errors?", function.name);
    }
}

#[test]
fn every_field_is_explained() {
    for Struct { name, fields } in structs() {
        for (field, comment) in fields {
            assert!(comment.len() > 5, "{name}.{field}: {comment:?}");
        }
    }
}
