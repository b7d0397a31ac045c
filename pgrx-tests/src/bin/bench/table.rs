//! Tables in Markdown, a line as soon as it is known.

/// A table whose head is printed.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head. The first column is for words, the others for numbers.
    pub fn begin(columns: &[&str]) -> Table {
        let widths: Vec<usize> = columns.iter().map(|name| name.chars().count().max(6)).collect();
        let table = Table { widths };
        table.row(columns.iter().map(|name| (*name).to_owned()));
        let rules = table.widths.iter().enumerate();
        let rules: Vec<String> = rules
            .map(|(place, width)| match place {
                0 => "-".repeat(*width),
                _ => format!("{}:", "-".repeat(width - 1)),
            })
            .collect();
        println!("| {} |", rules.join(" | "));
        table
    }

    pub fn row(&self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(place, (cell, width))| match place {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// A whole number, with commas between thousands.
pub fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let negative = number < 0.0 && digits != "0";
    if negative { format!("-{grouped}") } else { grouped }
}

/// A number with so many digits after the point.
pub fn decimal(number: f64, places: usize) -> String {
    format!("{number:.places$}")
}

/// A share of 1 as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn thousands_are_grouped() {
        let written = [0.4, 999.6, 1234.0, 1234567.0, -0.2, -1234.0].map(whole);
        assert_eq!(written, ["0", "1,000", "1,234", "1,234,567", "0", "-1,234"]);
    }
}
