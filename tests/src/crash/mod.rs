//! Every crash state, one by one: the search of [`logwrites_core::crash`] beside a plain reference.
//!
//! A small random log, a random model and a random deterministic checker. The reference works out from the definition
//! which disks a crash can leave, and runs the checker on each. The groups must have these disks and no others, and the
//! search must come to the same verdicts, with each state in exactly one of the regions that it decides.

mod checker;
mod disk;
mod reference;

use std::collections::BTreeSet;
use std::sync::Arc;

use logwrites_core::Ordering;
use logwrites_core::crash::{
    Group, Groups, Guarantee, Layers, Minimise, Model, Prefix, Proved, Region, Rules, Search, State,
    StateCount, Trial, Verdict,
};
use logwrites_core::history::{Checkpoints, Discards};

use self::checker::Checker;
use self::disk::{Disk, World};
use self::reference::Scene;
use crate::choices::{Choices, Seeded};

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Groups whose states were compared one by one.
    pub groups: u64,
    /// States in them.
    pub states: u64,
    /// Runs of a checker that decided them.
    pub runs: u64,
    /// Of what would have been runs, those that an earlier one has proved.
    pub reused: u64,
    /// States that fail.
    pub failing: u64,
}

impl Counts {
    /// Adds those of another run.
    pub const fn add(&mut self, other: &Self) {
        self.groups += other.groups;
        self.states += other.states;
        self.runs += other.runs;
        self.reused += other.reused;
        self.failing += other.failing;
    }
}

/// Compares all states of a random log.
///
/// # Panics
/// If something does not hold.
pub fn compare(choices: &mut impl Choices) -> Counts {
    let world = World::random(choices);
    let rules = rules(choices);
    let from = if choices.one_in(3) { choices.below(world.nr_entries() + 1) } else { 0 };
    let groups: Vec<Group> = Groups::new(world.index(), rules, from..world.nr_entries()).collect();
    let scenes: Vec<Scene> = groups.iter().map(|group| Scene::of(&world, rules, group)).collect();
    if scenes.iter().any(|scene| scene.units.len() > MAX_UNITS) {
        return Counts::default();
    }
    check_disks(&world, rules, from, &scenes);
    let mut run = Run {
        world: &world,
        checkers: (0..=choices.below(2)).map(|_| Checker::random(choices)).collect(),
        proved: Proved::new(),
        checkpoints: Checkpoints::new(rules.discards),
        counts: Counts::default(),
    };
    for (group, scene) in groups.iter().zip(&scenes) {
        run.search(choices, group, scene);
    }
    run.counts
}

/// The name of a state, whoever made it up: it has one spelling, and either it is one of a certain log, or it is said why not.
///
/// # Panics
/// If something does not hold.
pub fn check_name(state: &State) {
    assert_eq!(state.to_string().parse::<State>().as_ref(), Ok(state));
    let world = World::random(&mut Seeded::new(state.point % 64, u64::MAX));
    let disk = Checkpoints::new(Discards::Zero).map_at(world.index(), state.point, &state.lost);
    assert_eq!(world.disk_of(&disk).len(), world.base().len());
    if state.check(world.index()).is_ok() {
        assert!(state.lost.last().is_none_or(|last| last < state.point) && state.point <= world.nr_entries());
    }
}

fn rules(choices: &mut impl Choices) -> Rules {
    let unit_sectors = choices.pick(&[1, 2, 3]).try_into().expect("not zero");
    Rules {
        ordering: choices.pick(&[Ordering::Completion, Ordering::Durability]),
        model: choices.pick(&[Model::Lost, Model::Torn { unit_sectors }, Model::Ordered]),
        discards: choices.pick(&[Discards::Zero, Discards::Ignore]),
    }
}

/// The groups have exactly the disks that a crash can leave by definition, each with its last mark.
fn check_disks(world: &World, rules: Rules, from: u64, scenes: &[Scene]) {
    let all = |scenes: &[Scene]| -> BTreeSet<(Disk, Option<u64>)> {
        let disks = |scene: &Scene| {
            let masks = 0..1u64 << scene.units.len();
            masks.map(|mask| (scene.disk(world, mask), scene.last_mark)).collect::<Vec<_>>()
        };
        scenes.iter().flat_map(disks).collect()
    };
    let expected = reference::scenes(world, rules, from);
    assert_eq!(all(scenes), all(&expected), "{world:#?}\n{rules:?} from {from}");
}

/// A log under the checkers.
struct Run<'a> {
    world: &'a World,
    checkers: Vec<Checker>,
    /// By the number of the checker, and the last mark.
    proved: Proved<(usize, Option<u64>), Verdict>,
    checkpoints: Checkpoints,
    counts: Counts,
}

/// What one search has decided.
type Decided = Vec<(Prefix, Verdict)>;

impl Run<'_> {
    /// Has each checker decide a group, and compares each of its states.
    fn search(&mut self, choices: &mut impl Choices, group: &Group, scene: &Scene) {
        let nr_states = StateCount::power_of_two(scene.units.len().try_into().expect("few"));
        assert_eq!(group.nr_states(), nr_states);
        let layers =
            Arc::new(Layers::new(self.world.index(), group, &mut self.checkpoints).expect("few units"));
        for nth in 0..self.checkers.len() {
            let mut decided = Vec::new();
            let mut search = Search::new(Arc::clone(&layers));
            if choices.one_in(8) {
                search.set_max_open(1 + choices.index(4));
            }
            let left = self.run_to_end(choices, nth, scene, search, &mut decided);
            let tally = self.check(nth, scene, &decided, left);
            assert!(left.is_some() || tally.states == 1 << scene.units.len());
            self.counts.add(&tally);
        }
    }

    /// Runs a search, several trials at once and reported in any order. Now and then what is open goes on as text, in two
    /// searches. Gives what it guarantees if it does not decide everything.
    fn run_to_end(
        &mut self,
        choices: &mut impl Choices,
        nth: usize,
        scene: &Scene,
        mut search: Search,
        decided: &mut Decided,
    ) -> Option<Guarantee> {
        let mut out = Vec::new();
        let mut sum = StateCount::zero();
        let is_whole = search.total() == &search.layers().group().nr_states();
        loop {
            while out.len() < 3
                && let Some(trial) = search.next_trial()
            {
                out.push(trial);
            }
            if out.is_empty() {
                break;
            }
            let trial = out.swap_remove(choices.index(out.len()));
            if choices.one_in(20) {
                search.give_back(trial);
                continue;
            }
            let (region, verdict) = self.report(choices, nth, scene, &mut search, trial);
            sum += &region.nr_states();
            decided.push((region.prefix(), verdict));
            if is_whole && choices.one_in(40) {
                self.check(nth, scene, decided, search.guarantee());
            }
            if choices.one_in(20) {
                out.drain(..).for_each(|trial| search.give_back(trial));
            }
            // What was forgotten is not there to be shared out.
            if out.is_empty() && !search.is_bounded() && choices.one_in(4) {
                return self.go_on_elsewhere(choices, nth, scene, &search, decided);
            }
        }
        assert_eq!(search.decided(), &sum);
        assert_eq!(search.is_decided(), !search.is_bounded());
        assert_eq!(search.is_decided(), search.decided() == search.total());
        assert_eq!(search.is_decided(), search.guarantee().is_none());
        search.guarantee()
    }

    /// What is open, as text, shared out between two searches.
    fn go_on_elsewhere(
        &mut self,
        choices: &mut impl Choices,
        nth: usize,
        scene: &Scene,
        search: &Search,
        decided: &mut Decided,
    ) -> Option<Guarantee> {
        let texts: Vec<String> = search.open().map(|prefix| prefix.to_string()).collect();
        let (one, two) = texts.split_at(choices.index(texts.len() + 1));
        for share in [one, two] {
            let prefixes = share.iter().map(|text| text.parse::<Prefix>().expect("its own text"));
            let share = Search::of_prefixes(Arc::clone(search.layers()), prefixes).expect("the same group");
            assert_eq!(self.run_to_end(choices, nth, scene, share, decided), None, "few prefixes");
        }
        None
    }

    /// Runs the checker on a trial, unless it is proved, and reports it.
    fn report(
        &mut self,
        choices: &mut impl Choices,
        nth: usize,
        scene: &Scene,
        search: &mut Search,
        trial: Trial,
    ) -> (Region, Verdict) {
        let disk = self.check_trial(scene, &trial);
        let checker = &self.checkers[nth];
        let (reads, verdict) = checker.run(&disk);
        let key = (nth, scene.last_mark);
        let world = self.world;
        let contents = |pieces: &[_]| Some(world.fingerprint(pieces));
        let proof = self.proved.look_up(&key, &trial.map(), contents);
        if let Some(proof) = proof {
            assert_eq!((&proof.reads, *proof.verdict), (&reads, verdict), "proved by the same contents");
            self.counts.reused += 1;
        } else {
            self.counts.runs += 1;
            let found = reads.iter().map(|read| (*read, World::fingerprint_of(&disk, *read)));
            self.proved.add(key, found, verdict).expect("the checker is deterministic");
        }
        if verdict == Verdict::Fail && choices.one_in(4) {
            self.minimise(scene, checker, &trial);
        }
        let region = if choices.one_in(12) {
            search.report_alone(trial, verdict)
        } else {
            // Where contents are not known now and then, more is told apart.
            let is_blind = choices.one_in(10);
            search.report(trial, &reads, verdict, |pieces| (!is_blind).then(|| world.fingerprint(pieces)))
        };
        (region, verdict)
    }

    /// The disk of a trial, made in three ways.
    fn check_trial(&mut self, scene: &Scene, trial: &Trial) -> Disk {
        let state = trial.state();
        assert_eq!(state.to_string().parse::<State>(), Ok(state.clone()));
        state.check(self.world.index()).unwrap_or_else(|error| panic!("{state}: {error}\n{:#?}", self.world));
        let disk = scene.disk(self.world, scene.mask_of(&state));
        assert_eq!(self.world.disk_of(&trial.map()), disk, "{state} of {:#?}", self.world);
        let by_name = self.checkpoints.map_at(self.world.index(), state.point, &state.lost);
        assert_eq!(self.world.disk_of(&by_name), disk, "{state} by its name, of {:#?}", self.world);
        disk
    }

    /// The least that fails is 1-minimal: it fails, and with any one unit less lost it does not.
    fn minimise(&self, scene: &Scene, checker: &Checker, trial: &Trial) {
        let fails = |disk: &Disk| checker.run(disk).1 == Verdict::Fail;
        let mut minimise = Minimise::new(trial.choice());
        let mut nr_tries = 0;
        while let Some(choice) = minimise.next_choice() {
            minimise.report(fails(&self.world.disk_of(&choice.map())));
            nr_tries += 1;
            assert!(nr_tries < 1000, "it ends");
        }
        assert!(minimise.is_one_minimal());
        let least = minimise.least().state();
        let mask = scene.mask_of(&least);
        assert!(fails(&scene.disk(self.world, mask)));
        for nth in 0..scene.units.len() {
            let with = mask | 1 << nth;
            assert!(with == mask || !fails(&scene.disk(self.world, with)), "{least} is not 1-minimal");
        }
    }

    /// Every state is in one region at most, with its own verdict; those that are guaranteed, or all, are in one. Gives how
    /// many are.
    fn check(&self, nth: usize, scene: &Scene, decided: &Decided, left: Option<Guarantee>) -> Counts {
        let mut counts = Counts { groups: 1, ..Counts::default() };
        let nr_units = u64::try_from(scene.units.len()).expect("few");
        for mask in 0..1u64 << nr_units {
            let mut regions = decided.iter().filter(|(prefix, _)| scene.is_in(prefix, mask));
            let region = regions.next();
            assert!(regions.next().is_none(), "two regions have state {mask:b}");
            let nr_kept = u64::from(mask.count_ones());
            let is_promised = left.is_none_or(|left| {
                left.loses_at_most.is_some_and(|most| nr_units - nr_kept <= most)
                    || left.keeps_at_most.is_some_and(|most| nr_kept <= most)
            });
            assert!(region.is_some() || !is_promised, "no region has state {mask:b}: {left:?}");
            if let Some((_, verdict)) = region {
                assert_eq!(
                    *verdict,
                    self.checkers[nth].run(&scene.disk(self.world, mask)).1,
                    "state {mask:b}"
                );
                counts.states += 1;
                counts.failing += u64::from(*verdict == Verdict::Fail);
            }
        }
        counts
    }
}

/// With more units there are too many states to try them all, thousands of times.
const MAX_UNITS: usize = 10;
