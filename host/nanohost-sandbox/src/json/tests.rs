//! Tests of the value forms.
