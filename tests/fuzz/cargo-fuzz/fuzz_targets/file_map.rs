#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bascule_fuzz::run("file_map", data));
