//! Small charts as inline SVG.

use super::html::Html;

/// Size of a chart in its own units; the page scales it.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// A share of the height is left free above the highest value.
const HEADROOM: f64 = 1.08;

/// Bars of what succeeded, with what failed on top of it in another colour. `title` says what is shown.
pub fn bars(title: &str, succeeded: &[f64], failed: &[f64]) -> Html {
    let together = succeeded.iter().zip(failed).map(|(s, f)| s + f);
    let highest = together.fold(0.0, f64::max) * HEADROOM;
    let mut svg = open(title);
    let step = WIDTH / succeeded.len().max(1) as f64;
    for (place, (good, bad)) in succeeded.iter().zip(failed).enumerate() {
        let x = place as f64 * step;
        let (good, bad) = (scaled(*good, highest), scaled(*bad, highest));
        bar(
            &mut svg,
            "<rect class=\"good\" x=\"",
            x,
            step,
            HEIGHT - good,
            good,
        );
        bar(
            &mut svg,
            "<rect class=\"bad\" x=\"",
            x,
            step,
            HEIGHT - good - bad,
            bad,
        );
    }
    close(svg)
}

fn bar(svg: &mut Html, element: &'static str, x: f64, step: f64, y: f64, height: f64) {
    if height > 0.0 {
        svg.markup(element).number(x, 2);
        svg.markup("\" y=\"").number(y, 2);
        svg.markup("\" width=\"").number(step * 0.78, 2);
        svg.markup("\" height=\"").number(height, 2).markup("\"/>");
    }
}

/// A line; values that are not known interrupt it.
pub fn line(title: &str, values: &[Option<f64>]) -> Html {
    let highest = values.iter().flatten().copied().fold(0.0, f64::max) * HEADROOM;
    let step = WIDTH / values.len().max(1) as f64;
    let mut svg = open(title);
    let mut pen_down = false;
    svg.markup("<path class=\"line\" d=\"");
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let x = (place as f64 + 0.5) * step;
        svg.markup(if pen_down { "L" } else { "M" }).number(x, 2);
        svg.markup(" ")
            .number(HEIGHT - 1.0 - scaled(*value, highest) * 0.95, 2);
        if !pen_down {
            // A single point is seen too.
            svg.markup("h.01");
        }
        pen_down = true;
    }
    svg.markup("\"/>");
    close(svg)
}

fn scaled(value: f64, highest: f64) -> f64 {
    if highest > 0.0 {
        value.max(0.0) / highest * HEIGHT
    } else {
        0.0
    }
}

fn open(title: &str) -> Html {
    let mut svg = Html::default();
    svg.markup(
        "<svg class=\"chart\" viewBox=\"0 0 240 48\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
    )
    .text(title)
    .markup("\"><title>")
    .text(title)
    .markup("</title>");
    svg
}

fn close(mut svg: Html) -> Html {
    svg.markup("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_bar_nearly_fills_the_chart_and_none_is_higher() {
        let svg = bars("t", &[1.0, 3.0, 0.0], &[0.0, 1.0, 0.0]).into_string();
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(
            svg.contains("<rect class=\"bad\" x=\"80.00\" y=\"3.56\""),
            "{svg}"
        );
    }

    #[test]
    fn gaps_interrupt_a_line() {
        let svg = line("t", &[Some(1.0), Some(2.0), None, Some(1.0)]).into_string();
        assert_eq!(svg.matches('M').count(), 2, "{svg}");
        assert_eq!(svg.matches('L').count(), 1, "{svg}");
    }

    #[test]
    fn nothing_makes_an_empty_chart() {
        for svg in [
            bars("t", &[], &[]),
            bars("t", &[0.0], &[0.0]),
            line("t", &[]),
            line("t", &[None]),
        ] {
            let svg = svg.into_string();
            assert!(
                !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<rect"),
                "{svg}"
            );
        }
    }

    #[test]
    fn title_is_escaped() {
        assert!(!line("\"><script>", &[]).into_string().contains("<script"));
    }
}
