//! Samples of several layers, taken in turn, and the table of their minima.

use std::time::Duration;

use crate::Failure;

/// One thing that is measured.
pub(crate) struct Layer<'a> {
    /// What it is.
    pub(crate) name: String,
    /// Does it some times; how long one of them took.
    pub(crate) once: Box<dyn FnMut() -> Result<Duration, Failure> + 'a>,
    /// The layer by whose minimum its own is divided.
    pub(crate) over: Option<usize>,
    /// What that may be.
    pub(crate) goal: Option<f64>,
}

impl<'a> Layer<'a> {
    pub(crate) fn new(name: impl Into<String>, once: impl FnMut() -> Result<Duration, Failure> + 'a) -> Self {
        Self { name: name.into(), once: Box::new(once), over: None, goal: None }
    }

    /// Compared with another layer of the table.
    pub(crate) fn over(self, layer: usize, goal: impl Into<Option<f64>>) -> Self {
        Self { over: Some(layer), goal: goal.into(), ..self }
    }
}

/// Goes round all layers so often, prints the table, and gives the minima.
#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn table(
    title: &str,
    rounds: usize,
    mut layers: Vec<Layer<'_>>,
) -> Result<Vec<Duration>, Failure> {
    let mut took: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); layers.len()];
    for round in 0..=rounds {
        for (layer, took) in layers.iter_mut().zip(&mut took) {
            let once = (layer.once)()?;
            // The first warms up.
            if round > 0 {
                took.push(once);
            }
        }
    }
    took.iter_mut().for_each(|took| took.sort());
    let minima: Vec<Duration> = took.iter().map(|took| took[0]).collect();
    println!("\n{title}\n{:58} {:>10} {:>10}", "", "min µs", "median µs");
    for ((layer, took), min) in layers.iter().zip(&took).zip(&minima) {
        let median = took[took.len() / 2];
        print!("{:58} {:>10.1} {:>10.1}", layer.name, micros(*min), micros(median));
        if let Some(over) = layer.over {
            let ratio = min.as_secs_f64() / minima[over].as_secs_f64();
            print!("   {ratio:.2} × {}", layers[over].name);
            if let Some(goal) = layer.goal {
                print!(" (goal {goal}: {})", if ratio <= goal { "met" } else { "missed" });
            }
        }
        println!();
    }
    Ok(minima)
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
