//! Names of levels, such as `plant/3/pump`, and patterns of them: `*` is any one level, `#` at the end all that follow, none
//! included.

use crate::error::{Error, Result};

/// Most bytes of a name.
pub(crate) const NAME_MAX: usize = 231;

/// Whether a text can be a name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check(name, "name")?;
    if name.contains(['*', '#']) {
        return Err(Error::invalid(format!("the name {name:?} has a wildcard in it")));
    }
    Ok(())
}

fn check(text: &str, what: &str) -> Result<()> {
    if text.len() > NAME_MAX {
        return Err(Error::invalid(format!("the {what} has {} bytes, {NAME_MAX} are possible", text.len())));
    }
    if text.contains('\0') || text.split('/').any(str::is_empty) {
        return Err(Error::invalid(format!("the {what} {text:?} has a level without a name, or a NUL in it")));
    }
    Ok(())
}

/// A pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        check(text, "pattern")?;
        let levels = text.split('/');
        let last = levels.clone().count() - 1;
        for (at, level) in levels.enumerate() {
            let wild = level.contains(['*', '#']);
            if wild && !(level == "*" || level == "#" && at == last) {
                return Err(Error::invalid(format!(
                    "in the pattern {text:?} a wildcard is not a level of its own, or # is not the last"
                )));
            }
        }
        Ok(Self(text))
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut levels = name.split('/');
        for wanted in self.0.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards() {
        for (pattern, matched, others) in [
            ("a", &["a"][..], &["b", "a/b", "aa"][..]),
            ("a/b", &["a/b"], &["a", "a/b/c", "a/c"]),
            ("*", &["a", "b"], &["a/b"]),
            ("a/*", &["a/b"], &["a", "a/b/c", "b/b"]),
            ("*/b/*", &["a/b/c"], &["a/b", "b/b", "a/c/c"]),
            ("#", &["a", "a/b", "a/b/c"], &[]),
            ("a/#", &["a", "a/b", "a/b/c"], &["b", "ab", "b/a"]),
            ("*/b/#", &["a/b", "a/b/c/d"], &["a", "a/c"]),
        ] {
            let pattern = Pattern::parse(pattern).expect("well formed");
            assert!(matched.iter().all(|name| pattern.matches(name)), "{pattern:?}");
            assert!(!others.iter().any(|name| pattern.matches(name)), "{pattern:?}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", "#/a", "a/#/b", "a*", "*a", "a/b#", "**", "a\0", &"a".repeat(232)] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for bad in ["*", "#", "a/*", "a/#"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name(&"a".repeat(231)).is_ok());
    }

    /// Level by level, as one would write it down.
    fn matches(pattern: &[String], name: &[String]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (Some((wanted, _)), _) if wanted == "#" => true,
            (Some((wanted, pattern)), Some((level, name))) => {
                (wanted == "*" || wanted == level) && matches(pattern, name)
            }
            (None, None) => true,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(
            mut pattern in prop::collection::vec("[ab*]", 1..5),
            rest in prop::bool::ANY,
            name in prop::collection::vec("[ab]", 1..6),
        ) {
            if rest {
                pattern.push("#".into());
            }
            let (text, other) = (pattern.join("/"), name.join("/"));
            prop_assert_eq!(Pattern::parse(&text).expect("well formed").matches(&other), matches(&pattern, &name));
        }
    }
}
