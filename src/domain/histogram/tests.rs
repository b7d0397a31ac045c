use proptest::prelude::*;

use super::*;

fn of(micros: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for micros in micros {
        histogram.record(Duration::from_micros(*micros));
    }
    histogram
}

#[test]
fn buckets_follow_one_another() {
    let mut before = 0;
    for micros in 1..100_000 {
        let bucket = bucket(micros);
        assert!(
            bucket == before || bucket == before + 1,
            "{micros} is in {bucket} after {before}"
        );
        before = bucket;
    }
}

#[test]
fn nothing_has_no_quantile() {
    assert_eq!(Histogram::default().quantile(0.5), None);
}

#[test]
fn quantiles_of_few_are_those_few() {
    let histogram = of(&[1, 2, 3, 4]);
    let cases = [
        (0.0, 1),
        (0.25, 1),
        (0.5, 2),
        (0.75, 3),
        (0.99, 4),
        (1.0, 4),
        (2.0, 4),
        (f64::NAN, 1),
    ];
    for (share, micros) in cases {
        assert_eq!(
            histogram.quantile(share),
            Some(Duration::from_micros(micros)),
            "{share}"
        );
    }
}

#[test]
fn durations_without_end_count_as_the_longest() {
    let mut histogram = Histogram::default();
    histogram.record(Duration::MAX);
    assert_eq!(histogram, of(&[LONGEST_MICROS]));
}

#[test]
fn what_is_no_histogram_is_refused() {
    for bytes in [
        &[][..],
        &[1],
        &[1, 1],
        &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1],
        &[0xff, 0xff, 0x7f],
    ] {
        assert_eq!(Histogram::decode(&mut &*bytes), None, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn quantile_is_off_by_a_sixteenth_at_most(
        mut micros in proptest::collection::vec(0..LONGEST_MICROS, 1..200),
        share in 0.0..1.0_f64,
    ) {
        let told = of(&micros).quantile(share).unwrap_or_default().as_micros() as f64;
        micros.sort_unstable();
        let rank = (micros.len() as f64 * share).ceil().max(1.0) as usize;
        let exact = micros[rank - 1] as f64;
        prop_assert!((told - exact).abs() <= exact / 16.0, "{told} for {exact}");
    }

    #[test]
    fn merged_counts_are_those_of_all(
        some in proptest::collection::vec(0..1_000_000_u64, 0..50),
        others in proptest::collection::vec(0..1_000_000_u64, 0..50),
    ) {
        let mut merged = of(&some);
        merged.merge(&of(&others));
        prop_assert_eq!(merged.count(), (some.len() + others.len()) as u64);
        prop_assert_eq!(merged, of(&[some, others].concat()));
    }

    #[test]
    fn stored_form_is_read_back(micros in proptest::collection::vec(0..u64::MAX, 0..50)) {
        let histogram = of(&micros);
        let bytes = histogram.to_bytes();
        prop_assert_eq!(Histogram::decode(&mut bytes.as_slice()), Some(histogram));
    }

    #[test]
    fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
        let _ = Histogram::decode(&mut bytes.as_slice());
    }
}
