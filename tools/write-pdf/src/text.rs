//! Text in the fonts that every reader of PDF has: its bytes in the Windows code page 1252, and its
//! width in Helvetica (Adobe Font Metrics).

use nanohost_guest::Failure;

/// Widths of the letters from space to `~`, in thousandths of the size.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, //
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, //
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, //
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, //
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, //
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// Letters that the code page has outside of Latin-1, with their byte and width.
const OTHERS: [(char, u8, u16); 12] = [
    ('€', 0x80, 556),
    ('‚', 0x82, 222),
    ('„', 0x84, 333),
    ('…', 0x85, 1000),
    ('‘', 0x91, 222),
    ('’', 0x92, 222),
    ('“', 0x93, 333),
    ('”', 0x94, 333),
    ('•', 0x95, 350),
    ('–', 0x96, 556),
    ('—', 0x97, 1000),
    ('™', 0x99, 1000),
];

/// The widest of the letters of Latin-1: what a line has room for is never less than it takes.
const WIDEST: u16 = 1000;

/// Bold letters are at most so much wider.
const BOLD: f32 = 1.15;

/// The byte and width of a letter.
fn letter(letter: char) -> Option<(u8, u16)> {
    match letter {
        ' '..='~' => Some((letter as u8, WIDTHS[letter as usize - ' ' as usize])),
        '\u{a0}' => Some((0xa0, WIDTHS[0])),
        // Small letters with accents are no wider than this, the rest no wider than the widest.
        'à'..='å' | 'ç'..='ö' | 'ø'..='ÿ' => Some((letter as u32 as u8, 611)),
        '\u{a1}'..='ÿ' => Some((letter as u32 as u8, WIDEST)),
        _ => OTHERS.iter().find(|other| other.0 == letter).map(|other| (other.1, other.2)),
    }
}

/// A text as a font has it.
pub fn encoded(text: &str) -> Result<Vec<u8>, Failure> {
    text.chars().map(|char| letter(char).map(|known| known.0).ok_or_else(|| unknown(char))).collect()
}

/// How long a text is, in points; never less than it takes.
pub fn width(text: &str, size: f32, bold: bool) -> Result<f32, Failure> {
    let mut thousandths = 0;
    for char in text.chars() {
        thousandths += u32::from(letter(char).ok_or_else(|| unknown(char))?.1);
    }
    Ok(thousandths as f32 / 1000.0 * size * if bold { BOLD } else { 1.0 })
}

fn unknown(char: char) -> Failure {
    Failure::invalid_input(format!("the letter {char:?} is not in the fonts that every reader of PDF has"))
}

/// Lines of at most that width. What has no space in it is broken where the line ends.
pub fn lines(text: &str, size: f32, bold: bool, most: f32) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let (mut current, mut long) = (String::new(), 0.0);
        for word in line.trim_end().split_inclusive(' ') {
            // A space at the end of a line takes no room.
            let bare = width(word.trim_end(), size, bold)?;
            if long + bare > most && !current.is_empty() {
                lines.push(std::mem::take(&mut current).trim_end().to_owned());
                long = 0.0;
            }
            if bare <= most {
                current.push_str(word);
                long += width(word, size, bold)?;
                continue;
            }
            for char in word.chars() {
                let wide = width(char.encode_utf8(&mut [0; 4]), size, bold)?;
                if long + wide > most && !current.is_empty() {
                    lines.push(std::mem::take(&mut current));
                    long = 0.0;
                }
                current.push(char);
                long += wide;
            }
        }
        lines.push(current.trim_end().to_owned());
    }
    Ok(lines)
}
