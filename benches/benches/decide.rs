//! Criterion's view of `benches/src/work.rs`, on the host. `npm run bench` reads what it leaves in `target/criterion/`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use waypost::dialects::ClientDialect;
use waypost_bench::{World, body, outlined};

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for targets in [3, 20, 200] {
        let world = World::of(targets);
        let mut seed = 0;
        group.bench_function(BenchmarkId::from_parameter(targets), |bencher| {
            bencher.iter(|| {
                seed += 1;
                black_box(world.decide(seed))
            });
        });
    }
    group.finish();
}

fn outline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("outline");
    for bytes in [1_000, 10_000, 100_000] {
        let body = body(bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| black_box(outlined(ClientDialect::OpenaiChat, &body)));
        });
    }
    group.finish();
}

criterion_group!(benches, decide, outline);
criterion_main!(benches);
