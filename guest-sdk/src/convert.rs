//! From an author's types to the generated ones of the same shape, and back. [`crate::tool`]
//! writes the implementations for records, enums and variants; these are the ones that hold for all.

use alloc::string::String;
use alloc::vec::Vec;

/// A value of one shape in another type of that shape.
pub trait Convert<To> {
    /// The same value.
    fn convert(self) -> To;
}

macro_rules! same {
    ($($ty:ty),*) => {
        $(impl Convert<$ty> for $ty {
            fn convert(self) -> $ty {
                self
            }
        })*
    };
}

same!((), bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, char, String);

impl<A: Convert<B>, B> Convert<Vec<B>> for Vec<A> {
    fn convert(self) -> Vec<B> {
        self.into_iter().map(Convert::convert).collect()
    }
}

impl<A: Convert<B>, B> Convert<Option<B>> for Option<A> {
    fn convert(self) -> Option<B> {
        self.map(Convert::convert)
    }
}

impl<A: Convert<B>, B, E: Convert<F>, F> Convert<Result<B, F>> for Result<A, E> {
    fn convert(self) -> Result<B, F> {
        match self {
            Ok(value) => Ok(value.convert()),
            Err(error) => Err(error.convert()),
        }
    }
}

macro_rules! tuples {
    ($(($($a:ident $b:ident),+);)*) => {
        $(impl<$($a: Convert<$b>, $b),+> Convert<($($b,)+)> for ($($a,)+) {
            fn convert(self) -> ($($b,)+) {
                #[expect(non_snake_case, reason = "the type's name serves as the part's")]
                let ($($a,)+) = self;
                ($($a.convert(),)+)
            }
        })*
    };
}

tuples! {
    (A1 B1);
    (A1 B1, A2 B2);
    (A1 B1, A2 B2, A3 B3);
    (A1 B1, A2 B2, A3 B3, A4 B4);
    (A1 B1, A2 B2, A3 B3, A4 B4, A5 B5);
    (A1 B1, A2 B2, A3 B3, A4 B4, A5 B5, A6 B6);
}
