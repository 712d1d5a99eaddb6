//! What is told: one thing that happened, in words and as data. Who hears it, and when, is left to the desk.

use model::{InstrumentId, Time, VenueId};

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Something is missed or soon will be.
    Warning,
    /// Nothing can be recorded, or it ended.
    Critical,
}

impl Severity {
    /// Every one, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// `info`, `warning` or `critical`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == name)
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The house stands.
    Start,
    /// The house closes.
    Stop,
    /// The last run did not close.
    UncleanEnd,
    /// The past is being filled.
    Recovery,
    /// A hole was found.
    GapOpened,
    /// A hole was filled or given up.
    GapClosed,
    /// Streams of a venue bring nothing.
    Streams,
    /// A venue told us to stop asking.
    Ban,
    /// The house cannot do what it should.
    Error,
    /// The disk runs full.
    Disk,
    /// Somebody asked whether messages arrive.
    Test,
    /// Several messages in one, because more came than may be sent.
    Digest,
}

impl Kind {
    /// Those that can be chosen.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Stop,
        Self::UncleanEnd,
        Self::Recovery,
        Self::GapOpened,
        Self::GapClosed,
        Self::Streams,
        Self::Ban,
        Self::Error,
        Self::Disk,
    ];

    /// Its name in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::UncleanEnd => "unclean_end",
            Self::Recovery => "recovery",
            Self::GapOpened => "gap_opened",
            Self::GapClosed => "gap_closed",
            Self::Streams => "streams",
            Self::Ban => "ban",
            Self::Error => "error",
            Self::Disk => "disk",
            Self::Test => "test",
            Self::Digest => "digest",
        }
    }

    /// The one of that name, among those that can be chosen.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Whether a message is about something that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Alarm {
    /// It happened, and that is all.
    #[default]
    None,
    /// It began, or still goes on: told once in a while, however often it is raised.
    Raised(String),
    /// It is over: told if its beginning was.
    Over(String),
}

/// A value of a message, for machines.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A word of few: counted where messages are gathered.
    Word(String),
    /// A whole number: left out where messages are gathered.
    Whole(i64),
    /// Any number, likewise.
    Real(f64),
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => write!(f, "{number:.1}"),
        }
    }
}

impl From<&str> for Fact {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl From<String> for Fact {
    fn from(word: String) -> Self {
        Self::Word(word)
    }
}

impl From<i64> for Fact {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Fact {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What kind of thing.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// In one line.
    pub title: String,
    /// What more there is to say; may be empty.
    pub text: String,
    /// The same as data, for machines.
    pub fields: Vec<(&'static str, Fact)>,
    /// Whose venue.
    pub venue: Option<VenueId>,
    /// Which instrument.
    pub instrument: Option<InstrumentId>,
    /// When.
    pub time: Time,
    /// Whether it goes on.
    pub alarm: Alarm,
    /// What many of them are called, as in `gaps opened`: such messages are gathered for a while, per venue.
    pub many: Option<&'static str>,
}

impl Message {
    /// A message with nothing but a title.
    pub fn new(kind: Kind, severity: Severity, title: impl Into<String>, time: Time) -> Self {
        Self {
            kind,
            severity,
            title: title.into(),
            text: String::new(),
            fields: Vec::new(),
            venue: None,
            instrument: None,
            time,
            alarm: Alarm::None,
            many: None,
        }
    }

    /// With more words.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// With a field.
    pub fn with(mut self, name: &'static str, value: impl Into<Fact>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// About a venue.
    pub fn of_venue(mut self, venue: VenueId) -> Self {
        self.venue = Some(venue);
        self
    }

    /// About an instrument.
    pub fn of(mut self, instrument: &InstrumentId) -> Self {
        self.venue = Some(instrument.venue());
        self.instrument = Some(instrument.clone());
        self
    }

    /// To be gathered with others of its sort, which together are called so.
    pub fn gathered(mut self, many: &'static str) -> Self {
        self.many = Some(many);
        self
    }

    /// That something began or goes on.
    pub fn raised(mut self, alarm: impl Into<String>) -> Self {
        self.alarm = Alarm::Raised(alarm.into());
        self
    }

    /// That something is over.
    pub fn over(mut self, alarm: impl Into<String>) -> Self {
        self.alarm = Alarm::Over(alarm.into());
        self
    }
}

#[cfg(test)]
mod tests {
    //! Cases for names.
    use super::*;

    #[test]
    fn names_are_found_again() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::named(kind.as_str()) == Some(kind)));
        assert!(
            Severity::ALL.into_iter().all(|severity| Severity::named(severity.as_str()) == Some(severity))
        );
        assert_eq!((Kind::named("digest"), Severity::named("loud")), (None, None));
    }
}
