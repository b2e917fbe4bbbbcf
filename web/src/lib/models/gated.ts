/** How to get access to a model whose owner grants it. */
export const gatedAdvice =
  'Its owner must grant access before it can be downloaded. Request it on the page of the repository, then run “hf auth login”, or start mlxm serve with your token in HF_TOKEN.';
