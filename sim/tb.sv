// Test bench around the accelerator: one DPI call per rising edge (sim/memory.cpp) is the
// memory, the AXI4-Lite master and the reset. A driver only toggles `clk` and uses the mailbox:
// it sets op, address and value, changes `request`, and runs the clock until `response` equals
// `request`; then result, answer and cycle are valid. `DUT is the accelerator's module.
module tb (
    input  logic        clk,
    input  logic [31:0] request,
    input  logic [31:0] op,
    input  logic [31:0] address,
    input  logic [63:0] value,
    output logic [31:0] response,
    output logic [31:0] result,
    output logic [63:0] answer,
    output logic [63:0] cycle
);
    import "DPI-C" context function void sim_cycle(
        input bit arvalid, input int unsigned araddr, input int unsigned arlen, input int unsigned arsize,
        input int unsigned arburst, input int unsigned arid, input bit rready,
        input bit awvalid, input int unsigned awaddr, input int unsigned awlen, input int unsigned awsize,
        input int unsigned awburst, input int unsigned awid,
        input bit wvalid, input longint unsigned wdata, input int unsigned wstrb, input bit wlast, input bit bready,
        output bit o_arready, output bit o_rvalid, output longint unsigned o_rdata, output int unsigned o_rresp,
        output bit o_rlast, output int unsigned o_rid,
        output bit o_awready, output bit o_wready, output bit o_bvalid, output int unsigned o_bresp,
        output int unsigned o_bid,
        input bit s_awready, input bit s_wready, input bit s_bvalid, input int unsigned s_bresp,
        input bit s_arready, input bit s_rvalid, input int unsigned s_rdata, input int unsigned s_rresp,
        input bit irq,
        output bit o_s_awvalid, output int unsigned o_s_awaddr, output bit o_s_wvalid, output int unsigned o_s_wdata,
        output bit o_s_bready, output bit o_s_arvalid, output int unsigned o_s_araddr, output bit o_s_rready,
        output bit o_rst,
        input int unsigned i_request, input int unsigned i_op, input int unsigned i_address,
        input longint unsigned i_value,
        output int unsigned o_response, output int unsigned o_result, output longint unsigned o_answer,
        output longint unsigned o_cycle);

    logic        awid, awvalid, wlast, wvalid, bready, arid, arvalid, rready;
    logic [31:0] awaddr, araddr;
    logic [7:0]  awlen, arlen, wstrb;
    logic [2:0]  awsize, arsize;
    logic [1:0]  awburst, arburst, s_bresp, s_rresp;
    logic [63:0] wdata;
    logic        s_awready, s_wready, s_bvalid, s_arready, s_rvalid, interrupt;
    logic [31:0] s_rdata;

    // What sim_cycle returns (n_), and the registers that the accelerator sees.
    bit              rst = 1, n_rst = 1;
    bit              arready, rvalid, rlast, awready, wready, bvalid;
    bit              n_arready, n_rvalid, n_rlast, n_awready, n_wready, n_bvalid;
    longint unsigned rdata, n_rdata;
    int unsigned     rresp, rid, bresp, bid, n_rresp, n_rid, n_bresp, n_bid;
    bit              s_awvalid, s_wvalid, s_bready, s_arvalid, s_rready;
    bit              n_s_awvalid, n_s_wvalid, n_s_bready, n_s_arvalid, n_s_rready;
    int unsigned     s_awaddr, s_wdata, s_araddr, n_s_awaddr, n_s_wdata, n_s_araddr;
    int unsigned     n_response, n_result;
    longint unsigned n_answer, n_cycle;

    always @(posedge clk) begin
        sim_cycle(
            arvalid, araddr, 32'(arlen), 32'(arsize), 32'(arburst), 32'(arid), rready,
            awvalid, awaddr, 32'(awlen), 32'(awsize), 32'(awburst), 32'(awid),
            wvalid, wdata, 32'(wstrb), wlast, bready,
            n_arready, n_rvalid, n_rdata, n_rresp, n_rlast, n_rid,
            n_awready, n_wready, n_bvalid, n_bresp, n_bid,
            s_awready, s_wready, s_bvalid, 32'(s_bresp), s_arready, s_rvalid, s_rdata, 32'(s_rresp), interrupt,
            n_s_awvalid, n_s_awaddr, n_s_wvalid, n_s_wdata, n_s_bready, n_s_arvalid, n_s_araddr, n_s_rready, n_rst,
            request, op, address, value, n_response, n_result, n_answer, n_cycle);
        rst       <= n_rst;
        arready   <= n_arready;
        rvalid    <= n_rvalid;
        rdata     <= n_rdata;
        rresp     <= n_rresp;
        rlast     <= n_rlast;
        rid       <= n_rid;
        awready   <= n_awready;
        wready    <= n_wready;
        bvalid    <= n_bvalid;
        bresp     <= n_bresp;
        bid       <= n_bid;
        s_awvalid <= n_s_awvalid;
        s_awaddr  <= n_s_awaddr;
        s_wvalid  <= n_s_wvalid;
        s_wdata   <= n_s_wdata;
        s_bready  <= n_s_bready;
        s_arvalid <= n_s_arvalid;
        s_araddr  <= n_s_araddr;
        s_rready  <= n_s_rready;
        response  <= n_response;
        result    <= n_result;
        answer    <= n_answer;
        cycle     <= n_cycle;
    end

    `DUT dut (
        .clk(clk), .rst(rst), .interrupt(interrupt),
        .m_axi_awid(awid), .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize),
        .m_axi_awburst(awburst), .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bid(bid[0]), .m_axi_bresp(bresp[1:0]), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
        .m_axi_arid(arid), .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize),
        .m_axi_arburst(arburst), .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rid(rid[0]), .m_axi_rdata(rdata), .m_axi_rresp(rresp[1:0]), .m_axi_rlast(rlast),
        .m_axi_rvalid(rvalid), .m_axi_rready(rready),
        .s_axi_awaddr(s_awaddr[11:0]), .s_axi_awvalid(s_awvalid), .s_axi_awready(s_awready),
        .s_axi_wdata(s_wdata), .s_axi_wstrb(4'hf), .s_axi_wvalid(s_wvalid), .s_axi_wready(s_wready),
        .s_axi_bresp(s_bresp), .s_axi_bvalid(s_bvalid), .s_axi_bready(s_bready),
        .s_axi_araddr(s_araddr[11:0]), .s_axi_arvalid(s_arvalid), .s_axi_arready(s_arready),
        .s_axi_rdata(s_rdata), .s_axi_rresp(s_rresp), .s_axi_rvalid(s_rvalid), .s_axi_rready(s_rready)
    );
endmodule
