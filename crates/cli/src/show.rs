//! Tables.

use computepool_app::models;
use computepool_core::Fault;

use crate::arguments::ModelsArguments;
use crate::serve::sources;

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// Rows of cells in aligned columns; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `computepool models`.
pub(crate) async fn models(arguments: ModelsArguments) -> Result<(), Fault> {
    let catalogue = models::scan(sources(arguments.sources)?).await?;
    for entry in catalogue.entries() {
        let summary = &entry.summary;
        println!(
            "{}  ({}, {} layers, context {})",
            summary.id, summary.architecture, summary.layer_count, summary.context
        );
        println!("  {}\n  sha256 {}", entry.path.display(), summary.hash);
        let mut rows = vec![["  shard", "weights", "KV", "reserve", "total"].map(str::to_owned).to_vec()];
        for (layers, fit) in models::split(entry, arguments.shards, arguments.context)? {
            rows.push(vec![
                format!("  {layers}"),
                bytes(fit.weights),
                bytes(fit.kv),
                bytes(fit.reserve),
                bytes(fit.total()),
            ]);
        }
        println!("{}", table(&rows));
    }
    for skipped in catalogue.skipped() {
        println!("skipped {}: {}", skipped.path.display(), skipped.fault);
    }
    if catalogue.entries().is_empty() {
        println!("No model was found. `make sample-model` fetches a small one.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_sizes_readable() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(table(&[row("name", "n"), row("x", "100")]), "name    n\nx     100\n");
        assert_eq!(bytes(2_304), "2304 B");
        assert_eq!(bytes(98_362_432), "98.4 MB");
    }
}
