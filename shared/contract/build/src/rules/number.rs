//! Rules of numbers, durations and timestamps. Durations and timestamps are numbers of nanoseconds.

use std::fmt;

use proc_macro2::{Literal, TokenStream};
use prost_reflect::{DynamicMessage, Value};
use quote::quote;

use super::check::Typed;
use crate::options::seconds_and_nanos;

/// A number in a rule: as code, as a comparable value, and as text.
struct Number {
    code: TokenStream,
    order: Order,
    shown: String,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Order {
    Integer(i128),
    Real(f64),
}

/// One end of a range.
struct Bound {
    number: Number,
    operator: TokenStream,
    words: &'static str,
    inclusive: bool,
}

impl Bound {
    fn new(rule: &str, number: Number) -> Self {
        let (operator, words) = match rule {
            "gt" => (quote!(>), "greater than"),
            "gte" => (quote!(>=), "at least"),
            "lt" => (quote!(<), "less than"),
            _ => (quote!(<=), "at most"),
        };
        Self { number, operator, words, inclusive: rule.ends_with('e') }
    }

    fn holds(&self) -> TokenStream {
        let (operator, number) = (&self.operator, &self.number.code);
        quote!(*value #operator #number)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.words, self.number.shown)
    }
}

impl Typed<'_> {
    /// Reads the rules that numbers, durations and timestamps share.
    pub(super) fn numbers(&mut self) {
        let (rules, name) = (self.rules, self.name);
        let number = |value: &Value| Number::new(name, value);
        let (mut low, mut high) = (None, None);
        let mut named = Vec::new();
        for (rule, value) in rules.fields() {
            match (rule.name(), value) {
                (rule @ ("gt" | "gte" | "lt" | "lte"), value) => {
                    let side = if rule.starts_with('g') { &mut low } else { &mut high };
                    match number(value) {
                        Some(number) => *side = Some(Bound::new(rule, number)),
                        None => self.problem(format_args!(".{rule} is not a finite number")),
                    }
                }
                ("const", value) => match number(value) {
                    Some(Number { code, order, shown }) => {
                        named.push(order);
                        self.check(quote!(*value == #code), format_args!("must be {shown}"));
                    }
                    None => self.problem(".const is not a finite number"),
                },
                (rule @ ("in" | "not_in"), Value::List(list)) => {
                    let numbers: Vec<_> = list.iter().filter_map(number).collect();
                    if numbers.len() < list.len() {
                        self.problem(format_args!(
                            ".{rule} has a value that is not a finite number"
                        ));
                    }
                    if rule == "in" {
                        named.extend(numbers.iter().map(|number| number.order));
                    }
                    let codes = numbers.iter().map(|number| &number.code);
                    let shown: Vec<_> = numbers.iter().map(|n| n.shown.clone()).collect();
                    self.listed(rule == "in", quote!([#(#codes),*].contains(value)), &shown);
                }
                ("finite", Value::Bool(true)) => {
                    self.check(quote!(value.is_finite()), "must be a finite number");
                }
                ("lt_now", Value::Bool(true)) => {
                    self.check(quote!(*value <= rules::Moment::now()), "must not be in the future");
                }
                ("gt_now", Value::Bool(true)) => {
                    self.check(quote!(*value >= rules::Moment::now()), "must not be in the past");
                }
                ("within", Value::Message(span)) => self.within(span),
                ("finite" | "lt_now" | "gt_now" | "example", _) => {}
                (rule, _) => self.unsupported(rule),
            }
        }
        self.disjoint();
        self.range(low, high, &named);
    }

    /// Checks both ends of a range. If the lower end is above the upper one, the values between
    /// them are forbidden instead (as in protovalidate).
    fn range(&mut self, low: Option<Bound>, high: Option<Bound>, named: &[Order]) {
        let ends =
            (low.as_ref().map(|low| low.number.order), high.as_ref().map(|h| h.number.order));
        let outside = matches!(ends, (Some(low), Some(high)) if low > high);
        let fits = |order: &Order| {
            let above = low.as_ref().is_none_or(|low| low.takes(*order, *order > low.number.order));
            let below = high.as_ref().is_none_or(|h| h.takes(*order, *order < h.number.order));
            if outside { above || below } else { above && below }
        };
        let one_point = ends.0.is_some() && ends.0 == ends.1;
        let empty = one_point && ends.0.is_some_and(|point| !fits(&point));
        let excludes_named = named.iter().any(|order| !fits(order));
        if empty {
            self.problem(": no value is within both bounds");
        } else if excludes_named {
            self.problem(": a value of const or in is not within the bounds");
        }
        match (low, high) {
            (Some(low), Some(high)) if outside => {
                let (above, below) = (low.holds(), high.holds());
                self.check(quote!(#above || #below), format_args!("must be {low} or {high}"));
            }
            (low, high) => {
                for bound in [high, low].into_iter().flatten() {
                    self.check(bound.holds(), format_args!("must be {bound}"));
                }
            }
        }
    }

    fn within(&mut self, span: &DynamicMessage) {
        let (seconds, nanos) = seconds_and_nanos(span);
        if nanoseconds(seconds, nanos) < 0 {
            self.problem(".within must not be negative");
        }
        let shown = in_seconds(seconds, nanos);
        self.check(
            quote!(value.is_within(rules::Span::new(#seconds, #nanos), rules::Moment::now())),
            format_args!("must be within {shown} of now"),
        );
    }
}

impl Bound {
    /// Returns true if the number satisfies the bound. If `beyond` is true, the bound itself does
    /// not satisfy it.
    fn takes(&self, order: Order, beyond: bool) -> bool {
        beyond || (self.inclusive && order == self.number.order)
    }
}

impl Number {
    /// Returns None if the value is not a finite number.
    fn new(rules: &str, value: &Value) -> Option<Self> {
        let (literal, order, shown) = match value {
            Value::I32(n) => {
                (Literal::i32_suffixed(*n), Order::Integer((*n).into()), n.to_string())
            }
            Value::I64(n) => {
                (Literal::i64_suffixed(*n), Order::Integer((*n).into()), n.to_string())
            }
            Value::U32(n) => {
                (Literal::u32_suffixed(*n), Order::Integer((*n).into()), n.to_string())
            }
            Value::U64(n) => {
                (Literal::u64_suffixed(*n), Order::Integer((*n).into()), n.to_string())
            }
            Value::F32(n) if n.is_finite() => {
                (Literal::f32_suffixed(*n), Order::Real((*n).into()), n.to_string())
            }
            Value::F64(n) if n.is_finite() => {
                (Literal::f64_suffixed(*n), Order::Real(*n), n.to_string())
            }
            Value::Message(message) => {
                let (seconds, nanos) = seconds_and_nanos(message);
                let order = Order::Integer(nanoseconds(seconds, nanos));
                let (code, shown) = if rules == "timestamp" {
                    let shown = prost_types::Timestamp { seconds, nanos }.to_string();
                    (quote!(rules::Moment::new(#seconds, #nanos)), shown)
                } else {
                    (quote!(rules::Span::new(#seconds, #nanos)), in_seconds(seconds, nanos))
                };
                return Some(Self { code, order, shown });
            }
            _ => return None,
        };
        Some(Self { code: quote!(#literal), order, shown })
    }
}

fn nanoseconds(seconds: i64, nanos: i32) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

/// Formats a duration: `-2.5 s`.
fn in_seconds(seconds: i64, nanos: i32) -> String {
    let total = nanoseconds(seconds, nanos);
    let sign = if total < 0 { "-" } else { "" };
    let (seconds, nanos) = (total.abs() / 1_000_000_000, total.abs() % 1_000_000_000);
    if nanos == 0 {
        return format!("{sign}{seconds} s");
    }
    let decimals = format!("{nanos:09}");
    format!("{sign}{seconds}.{} s", decimals.trim_end_matches('0'))
}
