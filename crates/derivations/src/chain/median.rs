//! True medians, by selection: no order is made beyond the one place that is asked for.

/// The middle value, or half the sum of the two in the middle; `None` of nothing. Leaves the values in another order.
pub(crate) fn median(values: &mut [i64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable(middle);
    let upper = *upper;
    if is_odd {
        return Some(upper as f64);
    }
    let lower = *below.iter().max().expect("an even count above zero has a lower half");
    Some((i128::from(lower) + i128::from(upper)) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    //! Cases for medians.
    use proptest::prelude::*;

    use super::median;

    #[test]
    fn even_counts_take_half_the_sum_of_the_middle() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [7]), Some(7.0));
        assert_eq!(median(&mut [100_000_000, 0]), Some(50_000_000.0));
        assert_eq!(median(&mut [-193, 4, 3]), Some(3.0));
        assert_eq!(median(&mut [i64::MAX, i64::MAX]), Some(i64::MAX as f64));
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(mut values in prop::collection::vec(-50_i64..50, 1..40)) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
            prop_assert_eq!(median(&mut values), Some((low + high) as f64 / 2.0));
        }
    }
}
