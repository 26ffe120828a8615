//! How Rust names become WIT names, and what the binding generator calls those in Rust again.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;

/// The WIT form of a Rust name: lower-case words joined by `-`.
pub(crate) fn kebab(ident: &Ident) -> syn::Result<String> {
    let text = ident.unraw().to_string();
    let mut words: Vec<String> = Vec::new();
    for part in text.split('_').filter(|part| !part.is_empty()) {
        let letters: Vec<char> = part.chars().collect();
        for (at, &letter) in letters.iter().enumerate() {
            let after_small = at > 0 && !letters[at - 1].is_ascii_uppercase();
            let before_small = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
            let starts_word = at == 0 || (letter.is_ascii_uppercase() && (after_small || before_small));
            match words.last_mut() {
                Some(word) if !starts_word => word.push(letter.to_ascii_lowercase()),
                _ => words.push(letter.to_ascii_lowercase().to_string()),
            }
        }
    }
    let sound = |word: &String| {
        word.starts_with(|letter: char| letter.is_ascii_lowercase())
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    if words.is_empty() || !words.iter().all(sound) {
        return Err(syn::Error::new(
            ident.span(),
            "WIT names are ASCII words, each starting with a letter: `line2` rather than `line_2`",
        ));
    }
    Ok(words.join("-"))
}

/// The WIT package name of a crate: its own name with what WIT does not take left out.
pub(crate) fn package(crate_name: &str) -> String {
    let words: Vec<String> = crate_name
        .split(['-', '_'])
        .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase())
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .collect();
    if words.is_empty() { "unnamed".to_owned() } else { words.join("-") }
}

/// What the binding generator calls a function, field or module.
pub(crate) fn snake(kebab: &str) -> Ident {
    let text = kebab.replace('-', "_");
    match syn::parse_str::<Ident>(&text) {
        Ok(_) => Ident::new(&text, Span::call_site()),
        Err(_) => Ident::new(&format!("{text}_"), Span::call_site()),
    }
}

/// What the binding generator calls a type or case.
pub(crate) fn camel(kebab: &str) -> Ident {
    let text: String = kebab.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    match syn::parse_str::<Ident>(&text) {
        Ok(_) => Ident::new(&text, Span::call_site()),
        Err(_) => Ident::new(&format!("{text}_"), Span::call_site()),
    }
}

#[cfg(test)]
mod tests;
