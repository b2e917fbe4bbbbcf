import { loadModel } from '$lib/models/load';
import { nameOf } from '$lib/models/names';
import type { PageLoad } from './$types';

export const load: PageLoad = ({ params }) => loadModel(nameOf(params.owner, params.name));
