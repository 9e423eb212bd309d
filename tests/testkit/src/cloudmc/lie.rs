//! Untruths that the simulator can be told to tell. A provider has bugs, and a tenant's endpoint may be hostile.

/// Something wrong that the simulator says until [`super::CloudMcSimulator::stop_lying`]. Several may be told at once,
/// but of those about one answer only the one told last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// So many more fields, sensitive ones, with values of their own.
    ManyFields(usize),
    /// The first sensitive value has so many bytes.
    HugeValue(usize),
    /// Fields do not say whether they are sensitive.
    NoSensitive,
    /// The values come without `fields`.
    NoFields,
    /// The list of fields is empty.
    EmptyFields,
    /// The answer about values is `{}`.
    NoData,
    /// The answer about values is `{"data": null}`.
    NullData,
    /// An answer about one connection or environment has another one's id.
    AnotherId,
    /// An answer about one connection or environment holds two.
    TwoInOne,
    /// The list of users shows somebody else, and not the caller.
    SomebodyElse,
    /// Lists do not say how long they are.
    NoMetadata,
    /// Lists say that there is one more than they show.
    PartOfTheList,
    /// The first sensitive value is another one in each answer.
    NeverTheSame,
}

impl Lie {
    /// Which answers it is about: those with values, or else all others.
    pub(super) fn about_values(self) -> bool {
        !matches!(
            self,
            Lie::AnotherId
                | Lie::TwoInOne
                | Lie::SomebodyElse
                | Lie::NoMetadata
                | Lie::PartOfTheList
        )
    }
}
