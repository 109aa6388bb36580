//! Mutations of inputs, the same in every run.

/// Longest input made, in bytes.
const LEN_MAX: usize = 64 << 10;
/// Bytes with a meaning to some parser.
const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\"\\{}[]:,.-_/@%&=+#*'$<>| \n\r\t019azAZ";
/// Words with a meaning to some parser.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1.0",
    b"1e3",
    b"9223372036854775807",
    b"18446744073709551616",
    b"..",
    b"/../",
    b"%2e",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"[[[[[[[[",
    b"{\"a\":",
    b"\"\":",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\0",
];

/// A row of mutations.
#[derive(Debug)]
pub struct Mutations<'c> {
    corpus: &'c [Vec<u8>],
    state: u64,
    input: Vec<u8>,
}

impl<'c> Mutations<'c> {
    /// Mutations of `corpus`, which is not empty; `name` is the seed.
    pub fn new(name: &str, corpus: &'c [Vec<u8>]) -> Self {
        let seed = blake3::hash(name.as_bytes());
        let state = u64::from_le_bytes(*seed.as_bytes().first_chunk().unwrap()) | 1;
        Self { corpus, state, input: Vec::new() }
    }

    /// The next one: one to five changes to an input of the corpus.
    pub fn next_input(&mut self) -> &[u8] {
        let start = self.below(self.corpus.len());
        self.input.clone_from(&self.corpus[start]);
        for _ in 0..=self.below(5) {
            self.change();
        }
        self.input.truncate(LEN_MAX);
        &self.input
    }

    fn change(&mut self) {
        let at = self.below(self.input.len() + 1);
        let end = (at + 1 + self.below(16)).min(self.input.len());
        let bit = self.below(8);
        let byte = BYTES[self.below(BYTES.len())];
        match self.below(9) {
            0 if at < self.input.len() => self.input[at] ^= 1 << bit,
            1 if at < self.input.len() => self.input[at] = byte,
            2 => self.input.insert(at, byte),
            3 => drop(self.input.drain(at.min(end)..end)),
            4 => self.input.truncate(at),
            5 => {
                let word = WORDS[self.below(WORDS.len())];
                self.input.splice(at..at, word.iter().copied());
            }
            6 if at < end => {
                // A word takes the place of a few bytes.
                let word = WORDS[self.below(WORDS.len())];
                self.input.splice(at..end, word.iter().copied());
            }
            7 if at < end => {
                let copy = self.input[at..end].to_vec();
                let to = self.below(self.input.len() + 1);
                self.input.splice(to..to, copy);
            }
            _ => {
                // The end of another input.
                let corpus = self.corpus;
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                self.input.truncate(at);
                self.input.extend_from_slice(&other[from..]);
            }
        }
    }

    /// A number below `limit`, or 0. Xorshift by Marsaglia.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        if limit == 0 { 0 } else { (self.state >> 11) as usize % limit }
    }
}
