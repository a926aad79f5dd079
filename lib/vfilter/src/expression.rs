//! Sums and comparisons of a number in a header field, such as
//! `%p > 0.4 && %p < 0.6`.

/// Parentheses and signs within each other.
const DEPTH_MAX: usize = 32;
/// Longest expression; the table has room for 64.
const BYTES_MAX: usize = 1024;

/// An expression; `%p` in it is the value of the field.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

/// Why a text is no expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// Something else was expected.
    #[error("{0:?} does not belong there")]
    Unexpected(String),
    /// It ends too early.
    #[error("it is not complete")]
    End,
    /// Nobody needs so many parentheses.
    #[error("it is nested too deeply")]
    Depth,
    /// Nobody needs so many terms.
    #[error("it is longer than {} bytes", BYTES_MAX)]
    Long,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Value,
    Not(Box<Node>),
    Minus(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Plus,
    Minus,
    Times,
    Over,
}

/// Operators by how tightly they bind, the loosest first. In a row those
/// come first that others are the beginning of.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("=", Operator::Equal),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("/", Operator::Over)],
];

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if BYTES_MAX < text.len() {
            return Err(ExpressionError::Long);
        }
        let mut parser = Parser {
            rest: text.trim_start(),
            depth: 0,
        };
        let node = parser.level(0)?;
        match parser.rest {
            "" => Ok(Self(node)),
            rest => Err(unexpected(rest)),
        }
    }

    /// Its value for a value of the field.
    pub fn of(&self, value: f64) -> f64 {
        self.0.of(value)
    }
}

impl Node {
    fn of(&self, value: f64) -> f64 {
        let truth = |is_true: bool| f64::from(u8::from(is_true));
        match self {
            Self::Number(number) => *number,
            Self::Value => value,
            Self::Not(node) => truth(node.of(value) == 0.0),
            Self::Minus(node) => -node.of(value),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.of(value), right.of(value));
                match operator {
                    Operator::Or => truth(left != 0.0 || right != 0.0),
                    Operator::And => truth(left != 0.0 && right != 0.0),
                    Operator::Equal => truth(left == right),
                    Operator::Unequal => truth(left != right),
                    Operator::LessOrEqual => truth(left <= right),
                    Operator::GreaterOrEqual => truth(left >= right),
                    Operator::Less => truth(left < right),
                    Operator::Greater => truth(left > right),
                    Operator::Plus => left + right,
                    Operator::Minus => left - right,
                    Operator::Times => left * right,
                    Operator::Over => left / right,
                }
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    /// Takes this off the front, and the blanks after it.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// What operators of a level, and tighter ones, bind together.
    fn level(&mut self, level: usize) -> Result<Node, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.tightest();
        };
        let mut left = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.take(token)) {
            let right = self.level(level + 1)?;
            left = Node::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn tightest(&mut self) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(ExpressionError::Depth);
        }
        let node = if self.take("!") {
            Node::Not(Box::new(self.tightest()?))
        } else if self.take("-") {
            Node::Minus(Box::new(self.tightest()?))
        } else if self.take("%p") {
            Node::Value
        } else if self.take("(") {
            let node = self.level(0)?;
            if !self.take(")") {
                return Err(self.error());
            }
            node
        } else {
            let (number, length) = number(self.rest).ok_or_else(|| self.error())?;
            self.rest = self.rest[length..].trim_start();
            Node::Number(number)
        };
        self.depth -= 1;
        Ok(node)
    }

    fn error(&self) -> ExpressionError {
        match self.rest {
            "" => ExpressionError::End,
            rest => unexpected(rest),
        }
    }
}

fn unexpected(rest: &str) -> ExpressionError {
    ExpressionError::Unexpected(rest.chars().take(20).collect())
}

/// The number a text begins with, and its length: digits with a point.
pub(crate) fn number(text: &str) -> Option<(f64, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(text);
    if let Some(fraction) = text[length..].strip_prefix('.') {
        length += 1 + digits(fraction);
    }
    Some((text[..length].parse().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, p: f64) -> f64 {
        Expression::parse(text).unwrap().of(p)
    }

    #[test]
    fn numbers_compare_and_bind_as_usual() {
        assert_eq!(value("%p < 0.4", 0.3), 1.0);
        assert_eq!(value("%p<0.4", 0.5), 0.0);
        assert_eq!(value("1+2*3", 0.0), 7.0);
        assert_eq!(value("(1 + 2) * 3", 0.0), 9.0);
        assert_eq!(value("7 - 2 - 1", 0.0), 4.0);
        assert_eq!(value("%p > 1 && %p <= 5 || %p == 9", 9.0), 1.0);
        assert_eq!(value("!(%p >= 5) && -%p < 0", 4.0), 1.0);
        assert_eq!(value("%p != 3", 3.0), 0.0);
        assert_eq!(value("8 / 2", 0.0), 4.0);
    }

    #[test]
    fn everything_else_is_refused() {
        use ExpressionError::{Depth, End};
        assert_eq!(Expression::parse("1 +"), Err(End));
        assert_eq!(Expression::parse(""), Err(End));
        assert_eq!(Expression::parse("(1"), Err(End));
        assert_eq!(Expression::parse(&"(".repeat(1000)), Err(Depth));
        assert_eq!(Expression::parse(&"-".repeat(1000)), Err(Depth));
        let long = "1+".repeat(1000);
        assert_eq!(Expression::parse(&long), Err(ExpressionError::Long));
        for bad in ["1 2", "%q", "a", ".", "1 &&& 2", ")", "é", "1e5x"] {
            assert!(Expression::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_text_is_too_much() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let tokens = [
                "%p", "1", ".5", "(", ")", "!", "-", "*", "/", "<", "=", "&&", "||", " ",
            ];
            let text: String = letters
                .iter()
                .map(|b| tokens[usize::from(*b) % tokens.len()])
                .collect();
            if let Ok(expression) = Expression::parse(&text) {
                let _ = expression.of(2.0);
            }
            Ok(())
        });
    }
}
