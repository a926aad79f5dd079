//! Tells what happens to a message until it is over (`sendmail -v`).

use std::time::{Duration, Instant};

use run::Home;
use run::story::{Filter, Follower, Story, StoryError, Verdict};
use wire::trace::TraceId;

/// How long a message is followed.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How often the log is read.
const PAUSE: Duration = Duration::from_millis(100);

/// Prints the story of a message as it happens; `None` when it takes longer
/// than anybody wants to wait.
pub fn follow(home: &Home, trace: TraceId) -> Result<Option<Verdict>, StoryError> {
    let mut follower = Follower::start(home, Filter::of(trace))?;
    let mut story = Story::new(trace);
    let deadline = Instant::now() + WAIT_MAX;
    while Instant::now() < deadline {
        for event in follower.poll()? {
            println!("{}", story.push(event));
        }
        match story.verdict() {
            Verdict::Running => std::thread::sleep(PAUSE),
            over => return Ok(Some(over)),
        }
    }
    Ok(None)
}
