// Which version of openai-python's tests `../suite.mjs` runs, and what they name.

export const VERSION = '3.3.1';
/** Of `api_reference/openapi.transformed.yml`, as `.castiron.stats.yml` of the repository has it. */
export const SPEC_MD5 = '10930179c5f116288e24e0c6fda46559';
/** The key that the tests send. */
export const SUITE_KEY = 'My API Key';

export const TESTS = ['chat', 'test_completions.py', 'test_embeddings.py', 'test_models.py'].map((name) => `tests/api_resources/${name}`);

/** How the package's own `scripts/mock` has it read queries and forms. */
export const STEADY = ['query-array', 'form-array', 'query-object', 'form-object'].map((place) => `--validator-${place}-format=brackets`);

/** Models that the tests name without `model=`. */
export const MODELS = ['gpt-4o-mini'];

/** The model of legacy completions. */
export const LEGACY = 'gpt-3.5-turbo-instruct';
