//! Who comes to listen and who leaves: instruments, candles and the chain. Passing news on is left to the hub.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::chain::Topic;
use super::hub::State;
use super::messages::{self, AckLine};
use super::resume::Way;
use super::routes::{Reader, Route};
use super::words::{Asked, Stream};
use crate::refusal::Refusal;

impl State {
    pub(super) fn subscribe(&mut self, reader: &Arc<Reader>, id: Option<&Value>, asked: &Asked) {
        let count_max = self.house.settings.reader_subscriptions_max;
        let Asked { wanted, chain } = asked;
        let of_instruments = self.routes.values().map(|route| route.count(reader.id)).sum::<usize>();
        let has = of_instruments + self.chain.count(reader.id);
        let more = wanted.iter().map(|one| one.candles.len() + one.streams.len()).sum::<usize>()
            + chain.as_ref().map_or(0, BTreeSet::len);
        if has + more > count_max {
            let refusal = Refusal::bad(
                "too_many_subscriptions",
                format!("{has} subscriptions stand and {more} more make over {count_max}"),
                "unsubscribe from some, or open another connection",
            );
            reader.outbox.say(messages::error(id, &refusal));
            return;
        }
        // The acknowledgement goes first; how streams go on is known before anything of them is sent.
        let ways: Vec<Option<Way>> = wanted.iter().map(|one| self.way(one)).collect();
        let told = wanted.iter().zip(&ways).map(|(one, way)| AckLine::of(one, way.map(|way| way.word(one))));
        let lines: Vec<AckLine> = told.chain(chain.iter().map(AckLine::of_chain)).collect();
        reader.outbox.say(messages::ack("subscribed", id, &lines, self.ring.newest()));
        if let Some(topics) = chain {
            self.chain.join(reader, topics);
        }
        for (one, way) in wanted.iter().zip(ways) {
            self.join_streams(reader, one, way);
            for candles in &one.candles {
                self.join_candles(reader, &one.names, *candles);
            }
        }
        self.tidy();
    }

    pub(super) fn unsubscribe(&mut self, reader: &Arc<Reader>, id: Option<&Value>, asked: &Asked) {
        let Asked { wanted, chain } = asked;
        if asked.is_empty() {
            self.leave_everything(reader.id);
        }
        if let Some(topics) = chain {
            self.chain.leave(reader.id, topics);
        }
        for one in wanted {
            let Some(route) = self.routes.get_mut(&one.names.id) else { continue };
            if one.candles.is_empty() && one.streams.is_empty() {
                leave_all(route, reader.id);
            }
            for stream in &one.streams {
                route.leave(*stream, reader.id);
            }
            for (timeframe, _) in &one.candles {
                if let Some(topic) = route.candles.get_mut(timeframe) {
                    topic.leave(reader.id);
                    reader.outbox.forget(&(one.names.id.clone(), *timeframe));
                }
            }
        }
        self.tidy();
        let lines = wanted.iter().map(|one| AckLine::of(one, None));
        let lines: Vec<AckLine> = lines.chain(chain.iter().map(AckLine::of_chain)).collect();
        reader.outbox.say(messages::ack("unsubscribed", id, &lines, self.ring.newest()));
    }

    /// Takes a client from everything.
    pub(super) fn leave_everything(&mut self, reader: u64) {
        for route in self.routes.values_mut() {
            leave_all(route, reader);
        }
        self.chain.leave(reader, &Topic::ALL.into());
    }

    pub(super) fn tidy(&mut self) {
        for route in self.routes.values_mut() {
            route.candles.retain(|_, topic| !topic.is_empty());
        }
        self.routes.retain(|_, route| !route.is_idle());
    }
}

fn leave_all(route: &mut Route, reader: u64) {
    for stream in Stream::ALL {
        route.leave(stream, reader);
    }
    for topic in route.candles.values_mut() {
        topic.leave(reader);
    }
}
