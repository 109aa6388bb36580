//! Mutations of one file, by number.

use std::collections::BTreeMap;

use signing::{Value, parse};

use super::repository::{Files, Repository, Role, field, signed, signers};

/// The mutation `round` of a file: what was done, and the repository with it.
pub fn mutation(honest: &Repository, role: Role, round: u64) -> (String, Files) {
    let mut random = Random(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (role as u64 + 1) << 32 | 1);
    let mut repository = honest.clone();
    let mut listed = true;
    let (what, bytes) = match random.below(18) {
        0..=1 => bytes(&mut random, repository.bytes(role)),
        2..=3 => text(&mut random, repository.bytes(role)),
        4..=5 => signatures(&mut random, repository.bytes(role)),
        6 => {
            let other = *random.pick(&Role::ALL);
            let keys = signers(other);
            (format!("signed by {other:?}"), signed(&repository.content(role), &keys))
        }
        7 => {
            let other = *random.pick(&Role::ALL);
            (format!("content of {other:?}"), signed(&repository.content(other), &signers(role)))
        }
        9 => {
            let mut content = repository.content(role);
            let time = (*random.pick(&TIMES)).to_owned();
            *field(&mut content, &["expires"]) = Value::String(time.clone());
            (format!("expires {time}"), signed(&content, &signers(role)))
        }
        10 => {
            let mut content = repository.content(role);
            (delegations(&mut random, &mut content), signed(&content, &signers(role)))
        }
        8 => {
            listed = false;
            let (what, bytes) = bytes(&mut random, repository.bytes(role));
            (format!("not listed, {what}"), bytes)
        }
        _ => {
            let mut content = repository.content(role);
            let mut what = Vec::new();
            for _ in 0..=random.below(2) {
                what.push(edit(&mut random, &mut content, ""));
            }
            (what.join(", "), signed(&content, &signers(role)))
        }
    };
    if listed {
        repository.put(role, bytes);
    } else {
        repository.put_unlisted(role, bytes);
    }
    (what, repository.files())
}

/// Damage that knows nothing of the format.
fn bytes(random: &mut Random, file: &[u8]) -> (String, Vec<u8>) {
    let mut bytes = file.to_vec();
    let at = random.below(bytes.len());
    let len = random.below(20).min(bytes.len() - at);
    let what = match random.below(5) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            "a bit flipped"
        }
        1 => {
            bytes.drain(at..at + len);
            "bytes taken out"
        }
        2 => {
            let piece = bytes[at..at + len].to_vec();
            bytes.splice(at..at, piece);
            "bytes repeated"
        }
        3 => {
            bytes.truncate(at);
            "truncated"
        }
        _ => {
            bytes.insert(at, *random.pick(b" \n\t\"\\{}[],:0-e.\0\xff"));
            "a byte inserted"
        }
    };
    (format!("{what} at {at}"), bytes)
}

/// Damage by somebody who knows JSON, but has no key.
fn text(random: &mut Random, file: &[u8]) -> (String, Vec<u8>) {
    let text = str::from_utf8(file).unwrap();
    let changed = match random.below(10) {
        0 => text.replacen(
            "\"version\": ",
            &format!("\"version\": {}", random.pick(&["-", "0", "1.", "1e", "9"])),
            1,
        ),
        1 => text.replacen("\"signed\"", "\"signed\": 1, \"signed\"", 1),
        2 => text.replacen("\"version\"", "\"version\": 7, \"version\"", 1),
        3 => text.replacen("\"expires\"", "\"expir\\u0065s\"", 1),
        4 => text.replace('\n', "\r\n \t"),
        5 => text.replacen("\"signatures\"", "\"note\": \"unsigned\", \"signatures\"", 1),
        6 => text.replacen("\"signatures\"", "\"note\": 1.5, \"signatures\"", 1),
        7 => {
            let deep = format!("\"note\": {}{}, \"signatures\"", "[".repeat(40), "]".repeat(40));
            text.replacen("\"signatures\"", &deep, 1)
        }
        8 => format!("{text}{}", random.pick(&["\n", " ", "x", "{}", "\0"])),
        _ => format!("{}{text}", random.pick(&["\n", " ", "\u{feff}", "//\n"])),
    };
    ("text".to_owned(), changed.into_bytes())
}

/// Damage to the list of signatures.
fn signatures(random: &mut Random, file: &[u8]) -> (String, Vec<u8>) {
    let Value::Object(mut members) = parse(file, 1 << 20).unwrap() else { panic!() };
    let Some(Value::Array(list)) = members.get_mut("signatures") else { panic!() };
    let at = random.below(list.len());
    let Value::Object(entry) = &mut list[at] else { panic!() };
    let sig = entry["sig"].as_str().unwrap().to_owned();
    let what = match random.below(9) {
        0 => {
            list.remove(at);
            "a signature gone"
        }
        1 => {
            list.push(list[at].clone());
            "a signature twice"
        }
        2 => {
            entry.insert("sig".into(), Value::String(sig.to_uppercase()));
            "upper-case hex"
        }
        3 => {
            entry.insert("sig".into(), Value::String(sig[..sig.len() - random.below(4)].to_owned()));
            "a shorter signature"
        }
        4 => {
            entry.insert("sig".into(), Value::String(format!("{sig}00")));
            "a longer signature"
        }
        5 => {
            entry.insert("x".into(), 1.into());
            "an unknown field beside a signature"
        }
        6 => {
            list.insert(
                0,
                Value::from([("keyid", "00".into()), ("sig", (*random.pick(&["", "00", "zz"])).into())]),
            );
            "a foreign signature"
        }
        7 => {
            let empty = Value::from([("keyid", list[at].get("keyid").unwrap().clone()), ("sig", "".into())]);
            list.insert(0, empty);
            "an empty signature before the good one"
        }
        _ => {
            entry.remove("sig");
            "an entry without a signature"
        }
    };
    (what.to_owned(), serde_json::to_vec(&Value::Object(members)).unwrap())
}

/// One change of signed content, anywhere; says where and what.
fn edit(random: &mut Random, value: &mut Value, path: &str) -> String {
    let deeper = random.below(4) > 0;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => in_object(random, members, path),
        Value::Array(values) if deeper && !values.is_empty() => in_array(random, values, path),
        Value::Object(members) if random.below(2) == 0 => {
            let (name, fresh) = (*random.pick(&NAMES), random.value());
            let what = format!("{path}.{name} = {fresh:?}");
            members.insert(name.to_owned(), fresh);
            what
        }
        other => {
            *other = match other {
                Value::Int(number) if random.below(2) == 0 => Value::Int(number.saturating_add(1)),
                Value::String(text) if random.below(2) == 0 => Value::String(format!("{text}x")),
                Value::String(text) if random.below(2) == 0 => Value::String(text.to_uppercase()),
                _ => random.value(),
            };
            format!("{path} = {other:?}")
        }
    }
}

fn in_object(random: &mut Random, members: &mut BTreeMap<String, Value>, path: &str) -> String {
    let name = members.keys().nth(random.below(members.len())).unwrap().clone();
    let path = format!("{path}.{name}");
    match random.below(20) {
        0..=1 => {
            members.remove(&name);
            format!("{path} gone")
        }
        2 => {
            let moved = members.remove(&name).unwrap();
            members.insert(format!("{name}x"), moved);
            format!("{path} renamed")
        }
        _ => edit(random, members.get_mut(&name).unwrap(), &path),
    }
}

fn in_array(random: &mut Random, values: &mut Vec<Value>, path: &str) -> String {
    let at = random.below(values.len());
    let path = format!("{path}[{at}]");
    match random.below(6) {
        0 => {
            values.push(values[at].clone());
            format!("{path} twice")
        }
        1 => {
            values.remove(at);
            format!("{path} gone")
        }
        _ => edit(random, &mut values[at], &path),
    }
}

/// A change of the delegations, where there are some; else of anything.
fn delegations(random: &mut Random, content: &mut Value) -> String {
    let list = content.get("delegations").and_then(|found| found.get("roles")).and_then(Value::as_array);
    let Some(mut roles) = list.map(<[Value]>::to_vec) else { return edit(random, content, "") };
    let at = random.below(roles.len());
    let what = match random.below(6) {
        0 => {
            roles.reverse();
            "delegations reversed".to_owned()
        }
        1 => {
            *field(&mut roles[at], &["path_hash_prefixes"]) = Value::Array(vec!["".into()]);
            "both kinds of paths".to_owned()
        }
        2 => {
            let Value::Object(members) = &mut roles[at] else { panic!() };
            members.remove("paths");
            members
                .insert("path_hash_prefixes".into(), Value::Array(vec!["0".into(), "f".into(), "7".into()]));
            "hash prefixes".to_owned()
        }
        3 => {
            *field(&mut roles[at], &["paths"]) = Value::Array(vec![(*random.pick(&PATTERNS)).into()]);
            "other paths".to_owned()
        }
        4 => {
            roles.push(roles[at].clone());
            "a delegation twice".to_owned()
        }
        _ => edit(random, &mut roles[at], &format!("delegation {at}")),
    };
    *field(content, &["delegations", "roles"]) = Value::Array(roles);
    what
}

/// Path patterns; without `[`, which is a class of characters to them and a character to us.
const PATTERNS: [&str; 8] =
    ["*", "*/*", "images/*", "images/ha@?.json", "pins/l*b.json", "images/", "/images/*", "IMAGES/*"];

/// Around the time of every look, in several spellings.
const TIMES: [&str; 8] = [
    "2027-01-15T07:59:59Z",
    "2027-01-15T08:00:00Z",
    "2027-01-15T08:00:01Z",
    "2030-01-01T00:00:00.5Z",
    "2030-01-01T00:00:00+00:00",
    "2030-01-01",
    "2030-02-30T00:00:00Z",
    "never",
];

/// Names that mean something somewhere.
const NAMES: [&str; 10] = [
    "x",
    "_type",
    "version",
    "length",
    "hashes",
    "terminating",
    "path_hash_prefixes",
    "paths",
    "delegations",
    "consistent_snapshot",
];

/// A small generator (xorshift); quality does not matter.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn value(&mut self) -> Value {
        let numbers = [-1, 0, 1, 2, 3, 255, 1 << 31, 1 << 53, i64::MAX, i64::MIN];
        let texts = [
            "",
            "x",
            "1.0",
            "2.0.0",
            "1.1",
            "root",
            "snapshot",
            "timestamp",
            "targets",
            "releases",
            "*",
            "images/*",
            "pins/*",
            "**",
            "[a]",
            "2030-01-01T00:00:00Z",
            "2030-01-01T00:00:00.5Z",
            "2030-01-01T00:00:00+00:00",
            "2027-01-15T08:00:00Z",
            "2020-01-01T00:00:00Z",
            "é\n\"\\",
        ];
        match self.below(8) {
            0..=2 => Value::Int(*self.pick(&numbers)),
            3..=4 => Value::String((*self.pick(&texts)).to_owned()),
            5 => self.pick(&[Value::Null, Value::Bool(true), Value::Bool(false)]).clone(),
            6 => Value::Array(Vec::new()),
            _ => Value::Object([].into()),
        }
    }
}
