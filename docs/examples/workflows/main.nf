// One mira_nb run per row of a table, and one page that compares them:
//   nextflow run main.nf --samples samples.tsv
// samples.tsv: run, rna, atac and, optionally, options (further options of `mira-nb run`).
params.samples = "samples.tsv"
params.out = "runs"

process RUN {
    tag "$name"
    errorStrategy 'ignore' // the other runs go on
    publishDir params.out, mode: 'copy'

    input:
    tuple val(name), path(rna), path(atac), val(options)

    output:
    path name

    script:
    """
    mira-nb run --rna '$rna' --atac '$atac' --out '$name' $options
    """
}

process COMPARE {
    publishDir params.out, mode: 'copy'

    input:
    path runs

    output:
    path 'comparison.html'

    script:
    """
    mira-nb compare $runs --out comparison.html
    """
}

workflow {
    rows = Channel.fromPath(params.samples).splitCsv(header: true, sep: '\t')
    RUN(rows.map { row -> tuple(row.run, file(row.rna), file(row.atac), row.options ?: '') })
    COMPARE(RUN.out.collect())
}
