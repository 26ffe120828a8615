//! Reads tables out of CSV text (RFC 4180). Numbers are compared and added as decimals, and never
//! rounded.

#[nanohost_guest::tool]
pub mod table {
    use csv::{ReaderBuilder, StringRecord};
    use nanohost_guest::Failure;

    use super::decimal::Decimal;

    /// Longer text is not read.
    const MOST_BYTES: usize = 16 << 20;

    /// How a value is held against another.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Is {
        Equal,
        NotEqual,
        Less,
        AtMost,
        Greater,
        AtLeast,
        Containing,
        StartingWith,
    }

    /// What a row has to meet. `less`, `at_most`, `greater` and `at_least` compare numbers.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Condition {
        pub column: String,
        pub is: Is,
        pub value: String,
    }

    /// Columns and rows, as text.
    #[derive(Debug, PartialEq)]
    pub struct Table {
        pub columns: Vec<String>,
        pub rows: Vec<Vec<String>>,
    }

    /// What a column comes to.
    #[derive(Debug, PartialEq)]
    pub struct Total {
        /// Decimal digits: `-12.50`.
        pub sum: String,
        pub rows: u64,
    }

    /// The columns of the rows that meet all conditions; `separator` is a comma where none is named.
    pub fn select(
        text: String,
        columns: Vec<String>,
        conditions: Vec<Condition>,
        separator: Option<char>,
    ) -> Result<Table, Failure> {
        let mut read = Read::new(&text, conditions, separator)?;
        let columns = if columns.is_empty() { read.header.clone() } else { columns };
        let places = columns.iter().map(|name| read.place(name)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        read.each(|_, row| {
            rows.push(places.iter().map(|at| field(row, *at).to_owned()).collect());
            Ok(())
        })?;
        Ok(Table { columns, rows })
    }

    /// The sum of a column over the rows that meet all conditions.
    pub fn sum(
        text: String,
        column: String,
        conditions: Vec<Condition>,
        separator: Option<char>,
    ) -> Result<Total, Failure> {
        let mut read = Read::new(&text, conditions, separator)?;
        let place = read.place(&column)?;
        let (mut sum, mut rows) = (Decimal::default(), 0);
        read.each(|line, row| {
            let value = number(field(row, place), line, &column)?;
            sum = sum.plus(&value).ok_or_else(|| Failure::rejected("the sum has too many digits"))?;
            rows += 1;
            Ok(())
        })?;
        Ok(Total { sum: sum.to_string(), rows })
    }

    /// A table that is being read.
    struct Read<'a> {
        reader: csv::Reader<&'a [u8]>,
        header: Vec<String>,
        /// With the place of each column, and the number where one is compared.
        conditions: Vec<(usize, Condition, Option<Decimal>)>,
    }

    impl<'a> Read<'a> {
        fn new(text: &'a str, asked: Vec<Condition>, separator: Option<char>) -> Result<Self, Failure> {
            if text.len() > MOST_BYTES {
                return Err(Failure::invalid_input(format!("the text is longer than {MOST_BYTES} bytes")));
            }
            let separator = match separator {
                None => b',',
                Some(separator) if separator.is_ascii() && !matches!(separator, '"' | '\r' | '\n') => {
                    separator as u8
                }
                Some(other) => {
                    return Err(Failure::invalid_input(format!("{other:?} separates no columns")));
                }
            };
            // What a spreadsheet puts in front is no part of the first name.
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let mut reader = ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
            let header: Vec<String> =
                reader.headers().map_err(|error| unreadable(&error))?.iter().map(str::to_owned).collect();
            if let Some(twice) = header.iter().enumerate().find(|(at, name)| header[..*at].contains(name)) {
                return Err(Failure::invalid_input(format!("two columns are called `{}`", twice.1)));
            }
            let mut this = Self { reader, header, conditions: Vec::new() };
            for condition in asked {
                let place = this.place(&condition.column)?;
                let number = match condition.is {
                    Is::Less | Is::AtMost | Is::Greater | Is::AtLeast => {
                        Some(condition.value.parse().map_err(|()| {
                            Failure::invalid_input(format!("`{}` is no number", condition.value))
                        })?)
                    }
                    _ => None,
                };
                this.conditions.push((place, condition, number));
            }
            Ok(this)
        }

        fn place(&self, name: &str) -> Result<usize, Failure> {
            self.header.iter().position(|known| known == name).ok_or_else(|| {
                Failure::invalid_input(format!("no column is called `{name}`: {}", self.header.join(", ")))
            })
        }

        /// Every row that meets the conditions, with the number of its line.
        fn each(
            &mut self,
            mut each: impl FnMut(u64, &StringRecord) -> Result<(), Failure>,
        ) -> Result<(), Failure> {
            let mut row = StringRecord::new();
            while self.reader.read_record(&mut row).map_err(|error| unreadable(&error))? {
                let line = row.position().map_or(0, csv::Position::line);
                let mut all = true;
                for (place, condition, number) in &self.conditions {
                    all = all && meets(field(&row, *place), condition, number.as_ref(), line)?;
                }
                if all {
                    each(line, &row)?;
                }
            }
            Ok(())
        }
    }

    fn meets(text: &str, condition: &Condition, bound: Option<&Decimal>, line: u64) -> Result<bool, Failure> {
        let value = condition.value.as_str();
        let Some(bound) = bound else {
            return Ok(match condition.is {
                Is::NotEqual => text != value,
                Is::Containing => text.contains(value),
                Is::StartingWith => text.starts_with(value),
                _ => text == value,
            });
        };
        let order = number(text, line, &condition.column)?.order(bound);
        Ok(match condition.is {
            Is::Less => order.is_lt(),
            Is::AtMost => order.is_le(),
            Is::Greater => order.is_gt(),
            _ => order.is_ge(),
        })
    }

    fn number(text: &str, line: u64, column: &str) -> Result<Decimal, Failure> {
        text.trim().parse().map_err(|()| {
            Failure::rejected(format!("line {line}: `{text}` in column `{column}` is no number"))
        })
    }

    /// Rows have as many fields as the header, or they are not read.
    fn field(row: &StringRecord, place: usize) -> &str {
        row.get(place).unwrap_or_default()
    }

    fn unreadable(error: &csv::Error) -> Failure {
        Failure::invalid_input(format!("the text is no table: {error}"))
    }
}

mod decimal;
#[cfg(test)]
mod tests;
