//! What libFuzzer calls, again and again. `FUZZ_TARGET` names the target.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: std::sync::OnceLock<fn(&[u8])> = std::sync::OnceLock::new();
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        pg_hooks_fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: \"{name}\""))
    });
    run(data);
});

#[cfg(not(fuzzing))]
fn main() {
    println!("This is built without libFuzzer; run `cargo verify fuzz`. Targets:");
    for (name, _) in pg_hooks_fuzz::TARGETS {
        println!("    {name}");
    }
}
