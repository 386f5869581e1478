//! What a test run was asked to do.

use crate::error::Error;

const USAGE: &str = "usage: cargo xtask test [--quick|--long] [--list] [STEP…]   (a STEP is the beginning of a step's name)";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Only what needs no release program.
    pub(crate) quick: bool,
    /// All rounds of the crash tests, not CI's share.
    pub(crate) long: bool,
    /// Print the steps' names and do nothing.
    pub(crate) list: bool,
    /// Beginnings of names of steps; empty for all.
    pub(crate) names: Vec<String>,
}

impl Options {
    /// # Errors
    ///
    /// [`Error::Usage`].
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, Error> {
        let mut options = Self::default();
        for argument in arguments {
            match *argument {
                "--quick" => options.quick = true,
                "--long" => options.long = true,
                "--list" => options.list = true,
                name if name.starts_with('-') => return Err(Error::Usage(USAGE)),
                name => options.names.push(name.to_owned()),
            }
        }
        if options.quick && options.long {
            Err(Error::Usage(USAGE))
        } else {
            Ok(options)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn flags_and_names_are_told_apart() {
        let options = Options::parse(&["--long", "js", "--list"]).unwrap();
        assert_eq!(
            options,
            Options {
                quick: false,
                long: true,
                list: true,
                names: vec!["js".to_owned()]
            }
        );
        assert!(Options::parse(&["--fast"]).is_err());
        assert!(Options::parse(&["--quick", "--long"]).is_err());
    }
}
