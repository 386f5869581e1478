//! The parameters of one call, by position, as Ethereum's clients send them.

use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Failure;

/// Parameters that are taken one after another.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    values: Vec<&'a RawValue>,
    taken: usize,
}

impl<'a> Arguments<'a> {
    /// Reads an array; nothing at all counts as an empty one.
    pub(crate) fn new(params: &'a Params<'_>) -> Result<Self, Failure> {
        let values = match params.as_str() {
            None | Some("null") => Vec::new(),
            Some(text) => serde_json::from_str(text).map_err(Failure::NotAnArray)?,
        };
        Ok(Self { values, taken: 0 })
    }

    /// The next parameter.
    pub(crate) fn required<T: Deserialize<'a>>(&mut self) -> Result<T, Failure> {
        let index = self.taken;
        self.optional()?.ok_or(Failure::MissingArgument { index })
    }

    /// The next parameter, when it is there and not `null`.
    pub(crate) fn optional<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, Failure> {
        let index = self.taken;
        self.taken += 1;
        let Some(value) = self.values.get(index) else {
            return Ok(None);
        };
        serde_json::from_str(value.get()).map_err(|source| Failure::Argument { index, source })
    }

    /// Ends the parameters: no more than those taken are allowed.
    pub(crate) const fn end(&self) -> Result<(), Failure> {
        if self.values.len() > self.taken {
            return Err(Failure::TooManyArguments { most: self.taken });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jsonrpsee::types::Params;

    use super::Arguments;
    use crate::error::Failure;

    #[test]
    fn trailing_parameters_may_be_missing_or_null_and_none_may_be_added() {
        for text in [None, Some("null"), Some("[]"), Some("[null]")] {
            let params = Params::new(text);
            let mut arguments = Arguments::new(&params).unwrap();
            assert_eq!(arguments.optional::<u8>().unwrap(), None, "{text:?}");
            arguments.end().unwrap();
        }
        let params = Params::new(Some("[1,2,3]"));
        let mut arguments = Arguments::new(&params).unwrap();
        assert_eq!(arguments.required::<u8>().unwrap(), 1);
        assert_eq!(arguments.optional::<u8>().unwrap(), Some(2));
        assert!(matches!(
            arguments.end(),
            Err(Failure::TooManyArguments { most: 2 })
        ));
    }

    #[test]
    fn what_is_not_an_array_or_not_of_the_type_is_refused_by_position() {
        assert!(matches!(
            Arguments::new(&Params::new(Some("{}"))),
            Err(Failure::NotAnArray(_))
        ));
        let params = Params::new(Some("[1,\"x\"]"));
        let mut arguments = Arguments::new(&params).unwrap();
        arguments.required::<u8>().unwrap();
        assert!(matches!(
            arguments.required::<u8>(),
            Err(Failure::Argument { index: 1, .. })
        ));
        assert!(matches!(
            arguments.required::<u8>(),
            Err(Failure::MissingArgument { index: 2 })
        ));
    }
}
