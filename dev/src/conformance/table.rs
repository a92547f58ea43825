//! What was seen, as a table.

use std::fmt;

/// What a fact is to the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The code relies upon it: another answer is a failure.
    ReliedUpon,
    /// The code survives every answer; what is expected is a guess.
    Open,
    /// It cannot be checked with a key alone.
    NotChecked,
}

/// A fact about HubSpot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is to the code.
    pub kind: Kind,
    /// What is asked.
    pub fact: &'static str,
    /// What the code expects.
    pub expected: &'static str,
    /// What was seen.
    pub seen: String,
}

impl Fact {
    /// Whether it was seen as expected.
    pub fn holds(&self) -> bool {
        self.kind == Kind::NotChecked || self.seen == self.expected
    }

    const fn mark(&self) -> &'static str {
        match self.kind {
            Kind::ReliedUpon => "",
            Kind::Open => "[U]",
            Kind::NotChecked => "-",
        }
    }
}

/// All facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each with what was seen.
    pub facts: Vec<Fact>,
    /// What could not be taken away again.
    pub left: Vec<String>,
}

impl Report {
    /// Whether all that the code relies upon was seen as expected.
    pub fn holds(&self) -> bool {
        self.facts
            .iter()
            .all(|f| f.kind != Kind::ReliedUpon || f.holds())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:4}{:72} {:24} seen", "", "fact", "expected")?;
        for fact in &self.facts {
            let verdict = match (fact.kind, fact.holds()) {
                (_, true) => "",
                (Kind::ReliedUpon, false) => "  FAILS",
                (_, false) => "  differs",
            };
            writeln!(
                f,
                "{:4}{:72} {:24} {}{verdict}",
                fact.mark(),
                fact.fact,
                fact.expected,
                fact.seen
            )?;
        }
        for left in &self.left {
            writeln!(f, "left behind: {left}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_relied_upon_fails() {
        let fact = |kind, seen: &str| Fact {
            kind,
            fact: "a fact",
            expected: "yes",
            seen: seen.to_owned(),
        };
        let report = |facts| Report {
            facts,
            left: Vec::new(),
        };
        assert!(report(vec![fact(Kind::ReliedUpon, "yes"), fact(Kind::Open, "no")]).holds());
        let bad = report(vec![fact(Kind::ReliedUpon, "no")]);
        assert!(!bad.holds() && bad.to_string().contains("FAILS"));
    }
}
